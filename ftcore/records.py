"""What one stage hands to the next: small, frozen, JSON in and out.

A record carries digests, relative URIs and scalars, never rows, so it fits an Airflow XCom. `uri` is relative to the
store's root. `digest` is the identity that later stages' cache keys use: the same content gives the same digest,
wherever it was made.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self, get_type_hints

from ftcore.errors import IntegrityError

SCHEMA_VERSION = 1
_SPLITS = ("train", "validation", "test")

Outcome = Literal["PASS", "FAIL", "NOT ENOUGH EVIDENCE"]
DriftVerdict = Literal["ok", "watch", "drift", "insufficient"]


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no white space and no NaN: equal values give equal bytes.

    Raises:
        ValueError: The value holds NaN or infinity, which JSON cannot carry.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(value: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Record:
    """Base of all records. `refused` holds the reasons why nothing downstream may happen; empty: all is well."""

    kind: ClassVar[str] = ""

    refused: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, with `kind` and `schema`."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self), allow_nan=False))
        return {"kind": self.kind, "schema": SCHEMA_VERSION, **plain}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`.

        Raises:
            IntegrityError: Another kind or schema version, or fields that do not fit.
        """
        if data.get("kind") != cls.kind or data.get("schema") != SCHEMA_VERSION:
            seen = f"kind={data.get('kind')!r} schema={data.get('schema')!r}"
            raise IntegrityError(f"Cannot read a record: saw {seen}, wanted kind={cls.kind!r} schema={SCHEMA_VERSION}.")
        fields = {key: value for key, value in data.items() if key not in ("kind", "schema")}
        try:
            record: Self = _build(cls, fields)
        except (TypeError, KeyError) as error:
            raise IntegrityError(f"Cannot read a {cls.kind} record: {error}.") from None
        return record

    @property
    def digest(self) -> str:
        """Identity of the content; subclasses narrow it to what later stages depend on."""
        return digest_of(self.to_dict())


def _build(cls: type[Any], fields: Mapping[str, Any]) -> Any:
    """Lists to tuples, nested mappings to nested dataclasses, as the annotations say."""
    hints = get_type_hints(cls)
    return cls(**{name: _convert(hints[name], value) for name, value in fields.items()})


def _convert(hint: Any, value: Any) -> Any:
    args = getattr(hint, "__args__", ())
    if isinstance(value, list):
        inner = args[0] if args else None
        return tuple(_convert(inner, item) for item in value)
    if isinstance(value, dict):
        for option in (hint, *args):
            if dataclasses.is_dataclass(option) and isinstance(option, type):
                return _build(option, value)
    return value


@dataclass(frozen=True, kw_only=True)
class DataRef:
    """Which data to pull: a repository, a revision, a path inside it."""

    repo: str | None
    rev: str
    path: str
    remote: str | None = None
    reason: str = "spec"
    """Who chose this version: `spec`, `feedback` or `command line`."""


@dataclass(frozen=True, kw_only=True)
class DatasetVersion(Record):
    """ingest: the raw files of one data version, as they arrived."""

    kind: ClassVar[str] = "dataset_version"

    repo: str | None
    rev: str
    """Resolved commit; for a plain folder the manifest digest."""
    path: str
    uri: str
    """Folder in the store that holds `files/` and the manifest."""
    manifest_digest: str
    """SHA-256 over the sorted (path, size, sha256) of the data files."""
    num_files: int
    num_bytes: int
    remote: str | None = None
    """DVC remote that was asked for; None: the repository's default."""

    @property
    def digest(self) -> str:
        return self.manifest_digest


@dataclass(frozen=True, kw_only=True)
class SplitReport:
    """One split under one suite."""

    split: str
    num_rows: int
    num_expectations: int
    failed: tuple[str, ...] = ()
    """One line per failed expectation: what was expected, what was seen, up to three row ids."""
    quarantined: Mapping[str, int] = field(default_factory=dict)
    """Rows that expectations want set aside, by reason; one reason per row."""


@dataclass(frozen=True, kw_only=True)
class ValidationReport(Record):
    """validate: what Great Expectations and the leakage rules say."""

    kind: ClassVar[str] = "validation_report"

    uri: str
    data_digest: str
    suite_digest: str
    splits: tuple[SplitReport, ...]
    num_leaked: Mapping[str, int]
    """Leaked test rows by rule."""
    num_leaked_validation: Mapping[str, int]
    """Validation rows with a twin in train, by rule; reported, no reason to refuse: the twin leaves train."""
    docs_uri: str
    """index.html of the Data Docs."""
    report_uri: str | None = None
    """The data report, one HTML file; None in records of before there was one."""
    num_paraphrased: int = 0
    """Test rows with a paraphrase in train, told of and counted nowhere (`leakage.paraphrases: report`)."""


@dataclass(frozen=True, kw_only=True)
class PreparedDataset(Record):
    """prepare: clean, split, ready to train on. `train|validation|test.jsonl` in canonical columns, `quarantine.jsonl`."""

    kind: ClassVar[str] = "prepared_dataset"

    uri: str
    content_digest: str
    """SHA-256 over the three split files and the label list."""
    train_digest: str
    """SHA-256 over what training reads: training and validation split and the label list."""
    labels: tuple[str, ...]
    """Sorted; the position is the class index."""
    num_rows: Mapping[str, int]
    num_quarantined: Mapping[str, int]
    """By reason."""
    num_tokens: Mapping[str, float]
    """Of the training split under the base model's tokenizer: `total`, `median`, `p95`, `max`, `truncated_fraction`, and the
    share of padding in a batch, `padding_fraction` and (rows of like length together) `padding_fraction_grouped`. All splits,
    with the ids of the longest rows, are in `tokens.json`."""
    test_digest: str
    """Identity of the holdout: SHA-256 over its sorted row digests."""
    num_personal: Mapping[str, int] = field(default_factory=dict)
    """Rows with personal data by kind, before redaction; `personal.jsonl` names them."""
    num_label_suspects: Mapping[str, int] = field(default_factory=dict)
    """Rows to look at by audited split; `label_review.jsonl` names them."""
    num_augmented: Mapping[str, int] = field(default_factory=dict)
    """Training rows made from others, by method; they are in `num_rows`."""
    num_augmented_dropped: Mapping[str, int] = field(default_factory=dict)
    """Rows made and thrown away: unchanged, repeated, leaked."""
    num_bias_gaps: int = 0
    """Significant gaps in `bias.json`."""

    def __post_init__(self) -> None:
        # A record out of the store has its keys sorted; people read splits in the order of the pipeline.
        for name in ("num_rows", "num_label_suspects"):
            counts = getattr(self, name)
            object.__setattr__(self, name, {split: counts[split] for split in sorted(counts, key=_place_of_split)})

    @property
    def digest(self) -> str:
        return self.content_digest


@dataclass(frozen=True, kw_only=True)
class PhaseRun:
    """What one phase of a training run did, besides the one that gave the model."""

    name: str
    """adapt, teacher, or tune (where ratings follow)."""
    num_steps: int
    best_step: int
    first_validation_loss: float
    best_validation_loss: float
    train_s: float
    """Seconds; 0 where an earlier attempt had finished it."""


@dataclass(frozen=True, kw_only=True)
class TrainingRun(Record):
    """train: a candidate. `uri`/model holds safetensors, tokenizer and label map."""

    kind: ClassVar[str] = "training_run"

    uri: str
    model_digest: str
    """SHA-256 of the model folder's manifest: the identity of the model everywhere."""
    base_digest: str
    base_name: str
    data_digest: str
    """`train_digest` of the PreparedDataset trained on."""
    method: str
    device: str
    precision: str
    num_steps: int
    num_epochs: float
    best_step: int
    best_validation_loss: float
    train_s: float
    samples_per_s: float
    num_trainable: int
    num_parameters: int
    compute: str = ""
    """Device, number format, attention kernel, threads and optimizer kernel, for people."""
    started_from: str | None = None
    """Digest of the champion whose weights training started from; None: the base model's."""
    micro_batch_size: int | None = None
    """Rows per forward pass at the end; None in records of before there was a choice: the batch size."""
    num_out_of_memory: int = 0
    """How often memory ran out and the rows per forward pass were halved."""
    averaged_steps: tuple[int, ...] = ()
    """Checkpoints whose mean the weights are; empty: those of `best_step` alone."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The sections `method` and `training` as they were in force: those of the spec, or what a search has chosen."""
    shots: int | None = None
    """Rows of each class trained on (few-shot); None: all."""
    taught_by: str | None = None
    """Digest of the teacher of a distilled model; None: it had none."""
    phases: tuple[PhaseRun, ...] = ()
    """Phases before the one that gave the model, in order."""

    @property
    def digest(self) -> str:
        return self.model_digest


@dataclass(frozen=True, kw_only=True)
class Rescored:
    """Settings of one trial, trained anew on fresh seeds."""

    trial: int
    score: float
    """What the trial itself had."""
    mean: float
    spread: float
    """Standard deviation over the seeds (n - 1); 0 where there is one."""
    scores: tuple[float, ...]
    """One per fresh seed."""


@dataclass(frozen=True, kw_only=True)
class TuningResult(Record):
    """tune: the settings that the later stages use. Scores are of the validation split."""

    kind: ClassVar[str] = "tuning_result"

    uri: str
    data_digest: str
    """`train_digest` of the PreparedDataset searched on."""
    metric: Literal["loss", "accuracy"]
    settings: Mapping[str, Any]
    """Chosen values by dotted field name."""
    settings_digest: str
    chosen_trial: int
    trials_uri: str
    """One JSON line per trial: settings, state, score, curve, reason."""
    num_trials: int
    num_complete: int
    num_pruned: int
    num_failed: int
    search_s: float
    """Seconds in which trials ran; side by side they count once."""
    rescore_s: float
    best_trial: int
    best_score: float
    """What the best trial had: too good, for it is the best of many."""
    own_trial: int | None
    """The trial of the spec's own settings; None: the space does not hold them, or they did not finish."""
    rescored: tuple[Rescored, ...] = ()
    """Best mean first; empty where `tuning.rescore.seeds` is 0."""
    optimism: float | None = None
    """By how much the best trial looked better than its settings are on fresh seeds; None: not re-scored."""

    @property
    def digest(self) -> str:
        return self.settings_digest


@dataclass(frozen=True, kw_only=True)
class Withdrawal(Record):
    """A rollback that took a model out of production."""

    kind: ClassVar[str] = "withdrawal"

    model_digest: str
    seq: int
    """Position of the rollback in the ledger."""
    actor: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Released(Record):
    """Rows that a person has let out of quarantine: they are not set aside again for what a rule thinks of their content."""

    kind: ClassVar[str] = "released"

    rows: tuple[str, ...]
    """Row digests, sorted: a row that changes has to be released anew."""


@dataclass(frozen=True, kw_only=True)
class ModelRef(Record):
    """A packaged model, for example the champion at the time of judging."""

    kind: ClassVar[str] = "model_ref"

    model_digest: str
    uri: str
    """Folder in the store whose `model/` can be loaded."""
    seq: int
    """Position of the ledger head it was read at; promotion compares and sets against it."""

    @property
    def digest(self) -> str:
        return self.model_digest


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number with its uncertainty."""

    name: str
    value: float
    n: int
    ci_low: float
    ci_high: float


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One model (candidate, champion or a baseline) on the holdout."""

    role: str
    model_digest: str
    metrics: tuple[Metric, ...]


@dataclass(frozen=True, kw_only=True)
class Evaluation(Record):
    """evaluate: every model scored on the same rows. Per-row predictions and tables lie in `uri`."""

    kind: ClassVar[str] = "evaluation"

    uri: str
    test_digest: str
    num_rows: int
    models: tuple[Scored, ...]
    candidate_digest: str
    champion_digest: str | None
    champion_seq: int
    """Ledger position of the champion compared with; 0: none yet."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Candidate against champion on one metric."""

    name: str
    champion: float
    candidate: float
    difference: float
    ci_low: float
    ci_high: float
    p_value: float
    n: int
    n_needed: int
    """Rows needed to see `min_gain` with the wanted power at the observed discordance."""


@dataclass(frozen=True, kw_only=True)
class Verdict(Record):
    """judge: may this candidate be promoted, and why."""

    kind: ClassVar[str] = "verdict"

    uri: str
    outcome: Outcome
    reasons: tuple[str, ...]
    metrics: tuple[Comparison, ...]
    candidate_digest: str
    champion_digest: str | None
    champion_seq: int
    evaluation_digest: str
    gate_digest: str
    test_digest: str


@dataclass(frozen=True, kw_only=True)
class Promotion(Record):
    """promote: the new champion as the ledger has it."""

    kind: ClassVar[str] = "promotion"

    spec: str
    promotion_id: str
    model_digest: str
    previous_digest: str | None
    verdict_digest: str
    seq: int
    state: Literal["PREPARED", "COMMITTED", "APPLIED", "ABORTED"]
    package_uri: str
    mlflow_version: str | None = None


@dataclass(frozen=True, kw_only=True)
class DriftTest:
    """One statistic of one window against the reference."""

    name: str
    statistic: float
    p_value: float
    p_adjusted: float
    effect: float
    floor: float


@dataclass(frozen=True, kw_only=True)
class DriftReport(Record):
    """monitor: has production changed, and what follows."""

    kind: ClassVar[str] = "drift_report"

    uri: str
    spec: str
    model_digest: str
    verdict: DriftVerdict
    reasons: tuple[str, ...]
    tests: tuple[DriftTest, ...] = field(default=())
    p_value: float | None = None
    num_reference: int = 0
    num_current: int = 0
    window_digest: str = ""
    window_start: str = ""
    window_end: str = ""
    report_uri: str | None = None
    """Evidently HTML."""


@dataclass(frozen=True, kw_only=True)
class RetrainRequest(Record):
    """The one way back: production has changed, so train again. Lives in the ledger; at most one open per spec."""

    kind: ClassVar[str] = "retrain_request"

    request_id: str
    spec: str
    reason: str
    opened_at: str
    state: Literal["OPEN", "DONE", "CLOSED"] = "OPEN"
    data: DataRef | None = None
    """Set once labelled rows have become a new data version: only then does retraining start."""


RECORDS: dict[str, type[Record]] = {
    cls.kind: cls
    for cls in (
        DatasetVersion, ValidationReport, PreparedDataset, TrainingRun, ModelRef, Evaluation, Verdict, Promotion,
        DriftReport, RetrainRequest, Withdrawal, Released, TuningResult,
    )
}  # fmt: skip


def _place_of_split(split: str) -> int:
    return _SPLITS.index(split) if split in _SPLITS else len(_SPLITS)


def record_from_dict(data: Mapping[str, Any]) -> Record:
    """Any record from its JSON form.

    Raises:
        IntegrityError: Unknown kind, or fields that do not fit.
    """
    cls = RECORDS.get(str(data.get("kind")))
    if cls is None:
        raise IntegrityError(f"Unknown record kind {data.get('kind')!r}; known: {', '.join(RECORDS)}.")
    return cls.from_dict(data)
