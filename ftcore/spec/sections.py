"""The sections of a spec, as types. Every field has a default that suits most users; units are in names or docstrings."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
    model_validator,
)

from ftcore.spec.base import Fraction, Section, without_unset
from ftcore.spec.phases import AdaptSpec, CurriculumSpec, DistillSpec, PreferSpec

Probability = Annotated[float, Field(gt=0.0, lt=1.0)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Split = Literal["train", "validation", "test"]
Part = Literal["train", "validation", "test", "any"]
LeakageRule = Literal[
    "exact", "normalised", "near_duplicate", "contained", "ngram13", "target_in_prompt", "group", "time", "reused"
]
Task = Literal["classification", "instruction", "seq2seq"]
DataFormat = Literal["auto", "classification", "messages", "prompt_completion", "alpaca", "sharegpt", "turns"]
Baseline = Literal["majority", "nearest_centroid"]
SplitBy = Literal["group", "random", "stratified", "time", "near_duplicate"]
PersonalKind = Literal["secret", "email", "iban", "card", "national_id", "ip", "phone"]
MetricName = Literal["accuracy", "macro_precision", "macro_recall", "macro_f1"]


class ColumnsSpec(Section):
    """Which of the user's columns play which part. Optional columns that a set lacks are simply absent."""

    id: str = "id"
    """Unique row id; rows get their position as id where the column is missing."""
    text: str = "text"
    """Input text (formats `classification` and `turns`)."""
    label: str = "label"
    """Target class (format `classification`)."""
    group: str = "group"
    """Who or what the row comes from (customer, document); rows of one group never land in two splits."""
    timestamp: str = "timestamp"
    """When the row was written, ISO 8601."""
    source: str = "source"
    """Channel or feed the row came through; used for slices."""
    messages: str = "messages"
    """Turns of a conversation: a list of {role, content}, as JSON text in CSV (format `messages`)."""
    prompt: str = "prompt"
    """What the model is given (format `prompt_completion`)."""
    completion: str = "completion"
    """The answer to learn (format `prompt_completion`)."""
    instruction: str = "instruction"
    """The task in words (format `alpaca`)."""
    input: str = "input"
    """What the task is about; may be absent (format `alpaca`)."""
    output: str = "output"
    """The answer to learn (format `alpaca`)."""
    conversations: str = "conversations"
    """Turns of a conversation: a list of {from, value} (format `sharegpt`)."""
    system: str = "system"
    """A system text that comes before the conversation; may be absent (not for `messages` and `turns`)."""
    difficulty: str | None = None
    """How hard a row is, as a number (`method.curriculum`); null: no such column."""

    @model_serializer(mode="wrap")
    def _plain(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_unset(self, write, ("difficulty",))


class DataSpec(Section):
    """Where the rows are and how they are split."""

    repo: str | None = "."
    """Git repository under DVC (path or URL). Null: `path` is a plain local folder and its content digest is its version."""
    rev: str = "HEAD"
    """Git revision (commit, tag or branch) of `repo`."""
    path: str = "data"
    """DVC-tracked folder inside `repo`, or the plain folder."""
    remote: str | None = None
    """Name of the DVC remote to pull from; null: the repository's default."""
    files: dict[Part, str | list[str]] = {"any": ["*.jsonl"]}
    """File names or patterns inside `path`, per split. Rows under `any` are split by a hash of their group."""
    format: DataFormat = "auto"
    """How rows are written down. auto: `classification` for that task, otherwise told from the columns of each file."""
    columns: ColumnsSpec = ColumnsSpec()
    """Maps the user's column names to the canonical ones."""
    validation_fraction: Fraction = 0.15
    """Share of groups held out to choose the checkpoint; from `any`, or from `train` where no validation file is given."""
    test_fraction: Fraction = 0.15
    """Share of groups frozen as holdout; only from `any`, and only where no test file is given."""
    split_by: SplitBy = "group"
    """How rows of `any` (and of `train`, for validation) are split; rows of one group always stay together. group: hash of the
    group, or of the text where there is none. random: the same with the row's id in place of the text. stratified: the same
    share of each label. time: the newest rows become test. near_duplicate: rows that are nearly the same stay together."""
    follow_feedback: bool = True
    """Use the newest data version that feedback has accepted for this model (recorded in the ledger) instead of `rev`."""

    @model_validator(mode="after")
    def _splits_make_sense(self) -> DataSpec:
        if not self.files:
            raise ValueError("files is empty; wanted at least `any: [...]` or `train:` and `test:`")
        if "any" not in self.files and not {"train", "test"} <= set(self.files):
            raise ValueError("files needs `any`, or both `train` and `test`")
        if self.validation_fraction + self.test_fraction >= 0.9:
            raise ValueError(
                "validation_fraction + test_fraction must stay below 0.9 so that rows are left to train on"
            )
        return self


class ValidationSpec(Section):
    """Great Expectations."""

    suite: str | None = None
    """Suite file (GX JSON); null: `expectations/<task>.json`. Relative to the project folder (the nearest parent of the spec with
    `expectations/` or `.git`)."""
    accepted: str | None = None
    """Profile of the last accepted data version (`profile.json` of its validation), relative to the project folder: what change
    is measured from, and which sources are known. Null: nothing to compare with."""
    max_quarantined: Fraction = 0.05
    """Share of rows that may be set aside with a reason before the whole set is refused."""


class LeakageSpec(Section):
    """Rows of the holdout that training would see. Train also loses its twins of validation rows; those are only counted."""

    rules: list[LeakageRule] = [
        "exact", "normalised", "near_duplicate", "contained", "ngram13", "target_in_prompt", "group", "reused"
    ]  # fmt: skip
    """exact: same text; normalised: same after case, punctuation and white space are ignored; near_duplicate: nearly the same
    words in the same order (short rows: the same words); contained: one row inside a longer one; ngram13: long rows that share
    13 words in a row; target_in_prompt: the text gives its label away; group: same group in two splits; time: train rows from
    the start of the test period or later; reused: test rows that an earlier training of this model has seen."""
    max_leaked: Fraction = 0.05
    """Share of test rows that may have leaked (the twin leaves train) before the set is refused. Public sets have 2 to 5 %."""
    similarity: Annotated[float, Field(ge=0.5, le=1.0)] = 0.66
    """1 - edits / words that makes two rows of 15 words and more near-duplicates. Raise it where all rows come from one form."""
    paraphrases: Literal["off", "report", "leak"] = "off"
    """Compare embeddings of the base model too (minutes on CPUs): report only tells of the pairs, leak treats them as leaks."""
    cosine: Annotated[float, Field(gt=0.0, le=1.0)] = 0.95
    """Cosine similarity that makes two rows paraphrases."""


class LabelAuditSpec(Section):
    """Which labels look wrong: a cheap probe model judges rows it was not trained on. Nothing is ever changed or removed."""

    splits: list[Split] = Field(default_factory=list)
    """Splits to audit; empty: none. The holdout matters most: wrong labels there blur every verdict."""
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    """Folds of the cross-validation that judges train; validation and test rows are judged by a probe trained on train."""
    max_rows: Annotated[int, Field(ge=1)] = 200_000
    """Larger splits are not audited."""


class BiasSpec(Section):
    """Who is in the data and how they are labelled: a report, never a refusal."""

    columns: list[str] = ["source"]
    """Columns whose values are compared, each with all other rows."""
    terms: dict[str, list[str]] | Literal["default", "none"] = "default"
    """Identity terms: name -> words or phrases (whole words, case ignored); default: the short list in ftcore/data/bias.py."""
    min_rows: Annotated[int, Field(ge=1)] = 20
    """Smaller groups are counted, not compared."""
    confidence: Probability = 0.95
    """Of the intervals."""


AugmentMethod = Literal["typo", "dropout", "swap", "synonym", "paraphrase"]


class AugmentSpec(Section):
    """More training rows made from those there are; never validation or test rows. Off while `methods` is empty."""

    methods: list[AugmentMethod] = Field(default_factory=list)
    """typo: keyboard slips; dropout: words left out; swap: neighbouring words change places; synonym: words from `synonyms`;
    paraphrase: the row in one of `templates`."""
    fraction: Fraction = 0.5
    """Share of training rows that each method is applied to."""
    strength: Annotated[float, Field(gt=0.0, le=0.5)] = 0.1
    """Share of words changed (typo, dropout, swap, synonym), at least one."""
    synonyms: str | None = None
    """CSV file with the columns `word` and `synonym`, relative to the project folder."""
    templates: list[str] = ["Hello, {text}", "{text} Thanks.", "I have a question: {text}"]
    """What paraphrase puts around a row; each holds `{text}` once."""
    seed: Annotated[int, Field(ge=0)] = 17
    """Another seed, other rows; rows added or reordered change nothing for the rest."""

    @model_validator(mode="after")
    def _has_what_methods_need(self) -> AugmentSpec:
        if "synonym" in self.methods and not self.synonyms:
            raise ValueError("method synonym needs `synonyms`, a CSV file with the columns word and synonym")
        if faulty := [template for template in self.templates if template.count("{text}") != 1]:
            raise ValueError(f"{len(faulty)} of templates do not hold {{text}} exactly once")
        if "paraphrase" in self.methods and not self.templates:
            raise ValueError("method paraphrase needs at least one of templates")
        return self


class PrepareSpec(Section):
    """Cleaning before training."""

    fix_encoding: bool = True
    """Repair mojibake and drop control and zero-width characters (ftfy, NFC)."""
    strip_html: bool = False
    """Tags away, entities as characters, `<script>` and `<style>` dropped."""
    deduplicate: bool = True
    """Keep the first of rows of one split with the same normalised text and label; quarantine same text, different labels."""
    max_chars: Annotated[int, Field(ge=1)] = 20_000
    """Longer rows are quarantined."""
    personal_data: Literal["keep", "redact", "quarantine"] = "keep"
    """What becomes of rows with personal data or secrets: redact writes `[EMAIL]` and the like in their place."""
    personal_kinds: list[PersonalKind] = ["secret", "email", "iban", "card", "national_id", "ip", "phone"]
    """What to look for (also counted while `personal_data` is keep)."""
    phone_regions: list[Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]] = [
        "US", "GB", "DE", "FR", "ES", "IT", "NL", "AU", "IN", "BR",
    ]  # fmt: skip
    """Countries (ISO 3166) whose phone numbers are known without a leading +."""
    label_audit: LabelAuditSpec = LabelAuditSpec()
    """Which labels look wrong; off while `splits` is empty."""
    bias: BiasSpec = BiasSpec()
    """Groups and identity terms to count and compare."""
    augment: AugmentSpec = AugmentSpec()
    """Rows to make out of others; off while `methods` is empty."""


class BaseModelSpec(Section):
    """The pretrained model. Safetensors only; remote code is never run."""

    name: str
    """Hub id (`org/model`, needs `revision`), local folder, or `pkg:PACKAGE/FOLDER` inside an installed Python package."""
    revision: str | None = None
    """Commit of the Hub repository; required for a Hub id."""
    sha256: str | None = None
    """SHA-256 of model.safetensors, checked before loading; null: recorded, not checked."""


class MethodSpec(Section):
    """How to fine-tune."""

    name: Literal["full", "lora"] = "full"
    """full: all weights move; lora: low-rank adapters (PEFT), merged into the model that is served."""
    start_from: Literal["base", "champion"] = "base"
    """base: every candidate is made from the base model; champion: from the model in production, once there is one."""
    freeze_embeddings: bool | None = None
    """Keep the input embeddings as they are (full only): faster, and kinder to words that training never shows. null: yes for
    classification, no where the same embeddings write the answer."""
    freeze_layers: Annotated[int, Field(ge=0)] = 0
    """Also keep the first so many encoder layers as they are (full only): half of them make training about 1.5 times faster."""
    rank: Annotated[int, Field(ge=1, le=1024)] = 16
    """LoRA rank."""
    alpha: Annotated[float, Field(gt=0)] = 32.0
    """LoRA scale numerator; the update is scaled by alpha / rank."""
    dropout: Fraction = 0.0
    """LoRA dropout."""
    target_modules: list[str] | Literal["all-linear"] = "all-linear"
    """Module names that get an adapter."""
    adapt: AdaptSpec | None = None
    """Read plain text of the field before fine-tuning; null: no."""
    distill: DistillSpec | None = None
    """Learn from a teacher; null: no."""
    curriculum: CurriculumSpec | None = None
    """Easy rows first; null: shuffled."""
    prefer: PreferSpec | None = None
    """Learn from ratings after fine-tuning; null: no."""

    @model_serializer(mode="wrap")
    def _plain(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_unset(self, write, ("adapt", "distill", "curriculum", "prefer"))


class TrainingSpec(Section):
    """Optimisation."""

    batch_size: Annotated[int, Field(ge=1)] = 32
    """Rows per optimiser step."""
    epochs: Annotated[float, Field(gt=0)] = 5.0
    """Passes over the training split; fractions are allowed."""
    epochs_from_champion: Annotated[float, Field(gt=0)] | None = None
    """Passes when training starts from the champion, which has seen most rows before; null: `epochs`."""
    learning_rate: Annotated[float, Field(gt=0)] = 3e-4
    """Peak learning rate (AdamW), reached after warm-up, then linear decay to 0."""
    head_rate_factor: Annotated[float, Field(gt=0)] = 1.0
    """The classification head starts from nothing: its learning rate is so many times `learning_rate`; 8 can save an epoch."""
    warmup_fraction: Fraction = 0.06
    """Share of all steps over which the learning rate rises from 0 to its peak."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """AdamW weight decay; biases and layer norms are left out."""
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Dropout inside the model while it trains; null: what its configuration says. 0 makes training on CPUs 1.25 times faster."""
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    """Gradients are scaled down to this norm."""
    max_length: Annotated[int, Field(ge=4)] = 128
    """Tokens per row; longer rows are cut (the share is reported)."""
    eval_every: Annotated[float, Field(gt=0)] = 1.0
    """Validate and save a checkpoint every so many epochs."""
    patience: Annotated[int, Field(ge=0)] = 3
    """Early stopping: validations without a lower loss before training ends; 0: never."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of each target spread evenly over all classes (classification) or tokens (seq2seq)."""
    loss_on: Literal["answer", "assistant", "all"] = "answer"
    """What a conversation teaches (instruction): the last answer, every turn of the assistant, or every token."""
    seed: Annotated[int, Field(ge=0)] = 17
    """Seeds data order, new weights and dropout."""


class EvaluationSpec(Section):
    """What is measured on the holdout."""

    baselines: list[Baseline] = ["majority", "nearest_centroid"]
    """Cheap models scored beside the candidate; every promoted model must beat them."""
    slices: list[str] = Field(default_factory=lambda: ["source"])
    """Columns to slice by; the label is always one."""
    batch_size: Annotated[int, Field(ge=1)] = 64
    """Rows per forward pass."""


class GateSpec(Section):
    """The evidence that a promotion needs. Fractions, not percents: 0.005 is half a point."""

    metric: Literal["accuracy", "macro_f1"] = "accuracy"
    """The metric that candidate and champion are compared on."""
    margin: Fraction = 0.005
    """Non-inferiority: the one-sided lower bound (at 1 - alpha) of candidate minus champion must stay above -margin."""
    min_gain: Fraction = 0.005
    """Smallest difference worth a change of production."""
    strict: bool = False
    """Also require exact McNemar p < alpha."""
    alpha: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.05
    """Error rate of each one-sided bound and test that decides: 0.05 means bounds at 95 %. Intervals shown always have 95 %."""
    power: Probability = 0.8
    """Wanted chance of seeing a real gain; with too few rows the verdict is NOT ENOUGH EVIDENCE."""
    floors: dict[MetricName, Fraction] = {"accuracy": 0.7, "macro_f1": 0.6}  # pydantic copies defaults
    """Absolute minima, by metric."""
    min_over_baseline: Fraction = 0.02
    """How far above the best baseline every promoted model must be."""
    min_rows: Annotated[int, Field(ge=1)] = 200
    """Fewer holdout rows are never enough evidence."""
    min_slice_rows: Annotated[int, Field(ge=1)] = 100
    """Slices with fewer rows are shown, not judged."""


class ApprovalSpec(Section):
    """Human approval between verdict and promotion (Airflow's ApprovalOperator)."""

    required: bool = False
    """Ask a person between verdict and promotion."""
    approvers: list[str] = Field(default_factory=list)
    """Airflow user names who may answer; empty: anyone who may run the DAG."""
    timeout_hours: Annotated[float, Field(gt=0)] = 72.0
    """No answer by then means hold, never approve."""


class MonitoringSpec(Section):
    """Drift watch over the prediction log."""

    window_rows: Annotated[int, Field(ge=1)] = 500
    """Rows in a window (the newest ones since the champion was promoted)."""
    min_rows: Annotated[int, Field(ge=1)] = 200
    """Fewer rows: the decision is `insufficient`, never `ok`."""
    alpha: Probability = 0.01
    """Family-wise false-alarm rate per window (Holm over all tests). Looks at overlapping windows each have this rate."""
    min_effect: Fraction = 0.1
    """Effect-size floor: smaller shifts are not alarms however small their p-value."""
    cooldown_hours: Annotated[float, Field(ge=0)] = 24.0
    """No second alarm of one spec within this time."""
    min_feedback_rows: Annotated[int, Field(ge=1)] = 200
    """Labelled production rows that make a new data version worth retraining on."""


def _alert_url(url: str) -> str:
    """Refuse what no channel could be; an address with `${NAME}` in it is known only at delivery."""
    if re.search(r"\$\{\w+\}", url):
        return url
    wanted = "wanted https://…, any apprise URL (scheme://…), or ${NAME}"
    try:
        parts = urlsplit(url)
        plausible = bool(parts.scheme) and "://" in url and url.isprintable()
        if parts.scheme in ("http", "https"):  # apprise puts tokens where others have host and port
            plausible = plausible and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise ValueError(f"not an address ({error}); {wanted}") from None
    if not plausible:
        raise ValueError(f"not an address; {wanted}")
    return url


class AlertsSpec(Section):
    """Where alarms go, besides the log file under FTCORE_HOME and the channels in `$FTCORE_ALERT_URLS`."""

    urls: list[Annotated[str, AfterValidator(_alert_url)]] = Field(default_factory=list)
    """Webhooks (http, https) or any apprise URL. `${NAME}` is filled from the environment at delivery: no secret is stored."""


class ScheduleSpec(Section):
    """When Airflow runs what (cron expressions, UTC; null: only when triggered or by a retrain request)."""

    retrain: str | None = None
    """Scheduled retraining, besides retrain requests."""
    drift_watch: str | None = "*/30 * * * *"
    """How often production is compared with the reference."""
    feedback: str | None = "15 * * * *"
    """How often labels are gathered into a new data version."""


class ComputeSpec(Section):
    """Where and how numbers are crunched."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA if there is a device, else the CPU."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 on CUDA, and on CPUs with AMX or AVX512-BF16; else fp32."""
    threads: Annotated[int, Field(ge=0)] = 0
    """CPU threads; 0: all."""
    timeout_hours: Annotated[float, Field(gt=0)] = 24.0
    """A stage that runs longer is ended."""


class FineTuneSpec(Section):
    """One model in production: its data, how it is made, what it must show, how it is watched."""

    name: Name
    """Names the model everywhere: DAG ids, MLflow registered model, ledger."""
    task: Task = "classification"
    """What the model does. classification: names a class; instruction: answers in a conversation; seq2seq: turns one text into
    another. Only classification can be trained so far; data of all three is read, validated and prepared."""
    description: str = ""
    """For people."""
    data: DataSpec = DataSpec()
    validation: ValidationSpec = ValidationSpec()
    leakage: LeakageSpec = LeakageSpec()
    prepare: PrepareSpec = PrepareSpec()
    base_model: BaseModelSpec
    method: MethodSpec = MethodSpec()
    training: TrainingSpec = TrainingSpec()
    evaluation: EvaluationSpec = EvaluationSpec()
    gate: GateSpec = GateSpec()
    approval: ApprovalSpec = ApprovalSpec()
    monitoring: MonitoringSpec = MonitoringSpec()
    alerts: AlertsSpec = AlertsSpec()
    schedule: ScheduleSpec = ScheduleSpec()
    compute: ComputeSpec = ComputeSpec()

    _root: Path = PrivateAttr(default_factory=Path.cwd)

    @model_validator(mode="after")
    def _format_fits_task(self) -> FineTuneSpec:
        if self.data.format != "auto" and (self.data.format == "classification") != (self.task == "classification"):
            raise ValueError(
                f"data.format {self.data.format!r} does not fit task {self.task!r}; wanted `auto` or a format of it"
            )
        return self

    @model_validator(mode="after")
    def _phases_fit(self) -> FineTuneSpec:
        if faults := _phase_faults(self):
            raise ValueError("; ".join(faults))
        return self

    @property
    def root(self) -> Path:
        """Project folder: relative paths in the spec start here. Not part of the spec's content or digest."""
        return self._root

    def at(self, path: str) -> Path:
        """Absolute form of a local path written in the spec."""
        return (self.root / Path(path).expanduser()).absolute()

    @property
    def suite(self) -> Path:
        """Where the expectation suite is."""
        return self.at(self.validation.suite or f"expectations/{self.task}.json")

    def part(self, sections: Iterable[str]) -> dict[str, Any]:
        """The named sections as plain JSON types: what a stage reads, and so what its cache key covers."""
        return {name: self.model_dump(mode="json", include={name})[name] for name in sections}

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of the whole spec."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def _phase_faults(spec: FineTuneSpec) -> list[str]:
    """What the optional parts of `method` ask for that cannot be."""
    method, faults = spec.method, []
    if method.prefer and spec.task != "instruction":
        faults.append(f"method.prefer needs answers to rate: wanted task instruction, saw {spec.task}")
    if method.adapt and spec.task == "seq2seq":
        faults.append("method.adapt is for encoders and decoders, which read one text; not for task seq2seq")
    if method.adapt and spec.task == "classification" and "completion" in method.adapt.columns:
        faults.append("method.adapt.columns holds completion, which rows of task classification lack")
    if method.adapt and method.start_from == "champion":
        faults.append(
            "method.adapt changes the base model, method.start_from champion leaves it out; wanted one of them"
        )
    if method.distill and spec.task == "seq2seq":
        faults.append("method.distill is for task classification or instruction, saw seq2seq")
    if method.distill and method.distill.embedding_weight and spec.task != "classification":
        faults.append("method.distill.embedding_weight is for task classification")
    if method.distill and method.distill.student_layers and method.start_from == "champion":
        faults.append(
            "method.distill.student_layers starts from the teacher, method.start_from from the champion; wanted one"
        )
    if method.curriculum and method.curriculum.difficulty == "column" and not spec.data.columns.difficulty:
        faults.append("method.curriculum.difficulty column needs data.columns.difficulty, the column's name")
    return faults
