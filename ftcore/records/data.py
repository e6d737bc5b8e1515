"""Records of the data: which version, what its checks say, what training reads, what a person has released."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from ftcore.records.base import Record

_SPLITS = ("train", "validation", "test")


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
class Released(Record):
    """Rows that a person has let out of quarantine: they are not set aside again for what a rule thinks of their content."""

    kind: ClassVar[str] = "released"

    rows: tuple[str, ...]
    """Row digests, sorted: a row that changes has to be released anew."""


def _place_of_split(split: str) -> int:
    return _SPLITS.index(split) if split in _SPLITS else len(_SPLITS)
