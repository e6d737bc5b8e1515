"""The sections of a spec, as types. Every field has a default that suits most users; units are in names or docstrings."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from ftcore.spec.base import Fraction, Section, without_unset
from ftcore.spec.phases import AdaptSpec, CurriculumSpec, DistillSpec, PreferSpec
from ftcore.spec.space import Dimension, space_faults

Probability = Annotated[float, Field(gt=0.0, lt=1.0)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Split = Literal["train", "validation", "test"]
Part = Literal["train", "validation", "test", "any"]
LeakageRule = Literal[
    "exact", "normalised", "near_duplicate", "contained", "ngram13", "target_in_prompt", "group", "time", "reused"
]
Task = Literal["classification", "instruction", "seq2seq"]
DataFormat = Literal["auto", "classification", "messages", "prompt_completion", "alpaca", "sharegpt", "turns"]
Baseline = Literal["majority", "nearest_centroid", "base", "few_shot", "similar_reply"]
Schedule = Literal["linear", "cosine", "constant", "inverse_sqrt", "warmup_stable_decay"]
SplitBy = Literal["group", "random", "stratified", "time", "near_duplicate"]
PersonalKind = Literal["secret", "email", "iban", "card", "national_id", "ip", "phone"]
GenerationMetric = Literal["chrf", "bleu", "rouge_l", "exact_match", "inverse_perplexity"]
GateMetric = Literal["accuracy", "macro_f1", GenerationMetric]
MetricName = Literal["accuracy", "macro_precision", "macro_recall", "macro_f1", GenerationMetric]


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


class PresidioSpec(Section):
    """Presidio beside the built-in detectors: names, places and what else has no check digits. Needs the extra `presidio`."""

    model: str | None = "en_core_web_sm"
    """spaCy model that finds names and places: an installed package, or a folder relative to the project folder. Null: patterns
    alone, so no names and no places."""
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")] = "en"
    """Whose patterns are used (ISO 639), and what the model must have been made for."""
    entities: list[Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]] = Field(default_factory=list)
    """What to look for, in Presidio's words (`PERSON`, `LOCATION`, `US_PASSPORT`); empty: all that it knows in this language but
    what the built-in detectors look for themselves, and `DATE_TIME`, `ORGANIZATION`, `URL` and `UUID`."""
    min_score: Fraction = 0.5
    """Hits that Presidio is less sure of do not count."""


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
    personal_engine: Literal["builtin", "presidio"] = "builtin"
    """builtin: what has check digits or a shape of its own. presidio: Presidio's hits too, wherever the former find nothing."""
    presidio: PresidioSpec = PresidioSpec()
    """Settings of that engine."""
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
    """Hub id (`org/model`, needs `revision`), local folder, `dvc:PATH` (a folder under DVC in the project's repository), or
    `pkg:PACKAGE/FOLDER` inside an installed Python package."""
    revision: str | None = None
    """Commit of the Hub repository, required for a Hub id. For `dvc:PATH` a commit, tag or branch; null: HEAD."""
    sha256: str | None = None
    """SHA-256 of model.safetensors, checked before loading; null: recorded, not checked."""


MethodName = Literal["full", "lora", "qlora", "ia3", "prefix_tuning", "prompt_tuning", "p_tuning", "ln_tuning", "peft"]
_LORA = frozenset({"lora", "qlora"})
_VIRTUAL = frozenset({"prefix_tuning", "prompt_tuning", "p_tuning"})
_PEFT = frozenset({*_LORA, *_VIRTUAL, "ia3", "ln_tuning", "peft"})
_READ_BY: dict[str, frozenset[str]] = {
    "freeze_embeddings": frozenset({"full"}),
    "freeze_layers": frozenset({"full"}),
    **dict.fromkeys(("rank", "alpha", "dropout", "dora", "rslora", "init"), _LORA),
    "target_modules": _PEFT - _VIRTUAL,
    "virtual_tokens": _VIRTUAL,
    "modules_to_save": _PEFT,
    "peft": _PEFT,
}
"""Setting of `method` -> the methods that read it; settings that are not here are read by all."""
_NAMED_SETTINGS = {
    "r": "rank", "lora_alpha": "alpha", "lora_dropout": "dropout", "use_dora": "dora", "use_rslora": "rslora",
    "init_lora_weights": "init", "num_virtual_tokens": "virtual_tokens", "target_modules": "target_modules",
    "modules_to_save": "modules_to_save",
}  # fmt: skip
"""PEFT's name -> ours, of what has a field of its own in `method`."""
_SET_BY_TRAINING = frozenset({"task_type", "inference_mode", "base_model_name_or_path", "revision", "auto_mapping"})


_PHASES = ("adapt", "distill", "curriculum", "prefer")
_PREFER_SEARCHED = ("method.prefer.epochs", "method.prefer.learning_rate")
"""What leaves the model that ratings are compared with, and their loss, as they are."""


class MethodSpec(Section):
    """How to fine-tune. A setting that the method does not read is a fault; docs/methods.md tells which reads what."""

    name: MethodName = "full"
    """full: all weights move; lora: low-rank adapters; qlora: lora beside a base model in 4 bits (CUDA); ia3: factors for keys,
    values and feed-forward layers; ln_tuning: normalisation layers; prefix_tuning, prompt_tuning, p_tuning: virtual tokens before
    the text; peft: any other adapter of PEFT, named in `peft`. What can be merged is merged into the model that is served."""
    start_from: Literal["base", "champion"] = "base"
    """base: every candidate is made from the base model; champion: from the model in production, once there is one."""
    shots: Annotated[int, Field(ge=1)] | None = None
    """Train on so many rows of each class, drawn by `training.seed` (classification); null: all."""
    freeze_embeddings: bool | None = None
    """Keep the input embeddings as they are (full only): faster, and kinder to words that training never shows. null: yes for
    classification, no where the same embeddings write the answer."""
    freeze_layers: Annotated[int, Field(ge=0)] = 0
    """Also keep the first so many encoder layers as they are (full only): half of them make training about 1.5 times faster."""
    rank: Annotated[int, Field(ge=1, le=1024)] = 16
    """Rank of the update (lora, qlora)."""
    alpha: Annotated[float, Field(gt=0)] = 32.0
    """Scale numerator (lora, qlora): the update is scaled by alpha / rank, with `rslora` by alpha / sqrt(rank)."""
    dropout: Fraction = 0.0
    """Dropout before the update (lora, qlora)."""
    dora: bool = False
    """Magnitude and direction of each weight learn apart (lora, qlora; DoRA, arXiv:2402.09353)."""
    rslora: bool = False
    """Scale by alpha / sqrt(rank), which keeps large ranks stable (lora, qlora; arXiv:2312.03732)."""
    init: Annotated[
        str, StringConstraints(pattern=r"^(default|gaussian|orthogonal|pissa|pissa_niter_[0-9]+|olora|mica)$")
    ] = "default"
    """First values (lora, qlora). default: no update at first; gaussian: the same, drawn otherwise; orthogonal: orthogonal
    factors (even ranks); pissa, pissa_niter_N: largest singular vectors of the weights, exact or by N iterations (lora only);
    olora: their QR decomposition (lora only); mica: smallest singular vectors, of which one factor stays fixed."""
    target_modules: list[str] | Literal["all-linear"] | None = None
    """Module names that get an adapter (not for virtual tokens). null: all linear layers for lora and qlora, all normalisation
    layers for ln_tuning; for others what PEFT proposes for the architecture, else all linear layers."""
    modules_to_save: list[str] = Field(default_factory=list)
    """Modules that are trained whole beside the adapter (not full). The head of a classifier always is."""
    virtual_tokens: Annotated[int, Field(ge=1, le=1024)] = 16
    """Trained vectors before each text (prefix_tuning, prompt_tuning, p_tuning)."""
    peft: dict[str, Any] = Field(default_factory=dict)
    """Further fields of PEFT's configuration, by its names; for the method `peft` with `peft_type` (VERA, OFT, LOHA, …)."""
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
        return without_unset(self, write, _PHASES)

    @model_validator(mode="after")
    def _is_read_by_the_method(self) -> MethodSpec:
        fields, faults = type(self).model_fields, []
        for field, methods in _READ_BY.items():
            default = fields[field].get_default(call_default_factory=True)
            if self.name not in methods and getattr(self, field) != default:
                faults.append(f"{self.name} does not read {field} (of {', '.join(sorted(methods))})")
        faults += [*self._faulty_lora(), *self._faulty_peft()]
        if self.start_from == "champion" and self.name == "p_tuning":
            faults.append("p_tuning leaves no weights to go on from; wanted start_from: base, or prompt_tuning")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _faulty_lora(self) -> Iterable[str]:
        if self.name not in _LORA:
            return
        if self.init == "orthogonal" and self.rank % 2:
            yield f"init orthogonal needs an even rank, saw {self.rank}"
        if self.name == "qlora" and self.init.startswith(("pissa", "olora")):
            yield f"qlora cannot start from {self.init}, which changes the base weights"
        if self.dora and self.init == "mica":
            yield "dora and init mica exclude each other"

    def _faulty_peft(self) -> Iterable[str]:
        if self.name == "full":
            return
        if (self.name == "peft") != ("peft_type" in self.peft):
            yield "name peft and peft.peft_type go together: set both, or neither"
        for field in sorted(self.peft):
            if field in _SET_BY_TRAINING:
                yield f"peft.{field} is set by the training itself"
            named = _NAMED_SETTINGS.get(field)
            if named and self.name in _READ_BY[named] and (self.name != "peft" or getattr(self, named)):
                yield f"peft.{field} is method.{named} here; set that alone"


class TrainingSpec(Section):
    """Optimisation."""

    batch_size: Annotated[int, Field(ge=1)] = 32
    """Rows per optimiser step."""
    micro_batch_size: Annotated[int, Field(ge=1)] | None = None
    """Rows per forward pass, to save memory; divides `batch_size`. The result stays the same: each step sums the gradients of
    `batch_size` rows. null: `batch_size`. Halved by itself while a pass runs out of memory."""
    epochs: Annotated[float, Field(gt=0)] = 5.0
    """Passes over the training split; fractions are allowed."""
    max_steps: Annotated[int, Field(ge=1)] | None = None
    """Optimiser steps, in place of `epochs`; null: as `epochs` says."""
    epochs_from_champion: Annotated[float, Field(gt=0)] | None = None
    """Passes when training starts from the champion, which has seen most rows before; null: `epochs`."""
    learning_rate: Annotated[float, Field(gt=0)] = 3e-4
    """Peak learning rate (AdamW), reached after warm-up; `schedule` says what follows."""
    schedule: Schedule = "linear"
    """The learning rate after warm-up. linear, cosine: down to 0 at the last step; constant: stays; inverse_sqrt: falls with the
    square root of the step; warmup_stable_decay: stays, and falls to 0 over the last fifth of the steps."""
    head_rate_factor: Annotated[float, Field(gt=0)] = 1.0
    """The classification head starts from nothing: its learning rate is so many times `learning_rate`; 8 can save an epoch."""
    warmup_fraction: Fraction = 0.06
    """Share of all steps over which the learning rate rises from 0 to its peak."""
    warmup_steps: Annotated[int, Field(ge=0)] | None = None
    """Warm-up in steps, in place of `warmup_fraction`; null: as that says."""
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
    final_weights: Literal["best", "last"] = "best"
    """Which checkpoint becomes the candidate: the one with the lowest validation loss, or the last."""
    average_checkpoints: Annotated[int, Field(ge=0)] = 0
    """Try the mean of the weights of so many checkpoints, the best or the last ones as `final_weights` says; it is taken if its
    validation loss is not higher. 0 or 1: no averaging."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of each target spread evenly over all classes (classification) or tokens (seq2seq), in the training loss only."""
    class_weights: Literal["none", "balanced"] | dict[str, Annotated[float, Field(gt=0)]] = "none"
    """Weights of rows in the loss by their class (classification). balanced: every class counts the same; or label: weight, 1
    where none is given. Scaled so that the mean over the training rows is 1; the validation loss is weighted alike."""
    group_by_length: bool = True
    """Batches hold rows of like length, which saves padding; false: shuffled alone."""
    packing: bool = False
    """Rows of a forward pass share sequences of up to `max_length` tokens instead of being padded (instruction); they do not see
    each other, so the result stays the same."""
    neftune_alpha: Annotated[float, Field(gt=0)] | None = None
    """Noise on the input embeddings while training (instruction; NEFTune, arXiv:2310.05914), 5 is usual; null: none."""
    gradient_checkpointing: bool = False
    """Compute activations a second time in the backward pass instead of keeping them: less memory, about a third more time."""
    loss_on: Literal["answer", "assistant", "all"] = "answer"
    """What a conversation teaches (instruction): the last answer, every turn of the assistant, or every token."""
    seed: Annotated[int, Field(ge=0)] = 17
    """Seeds data order, new weights and dropout."""

    @model_validator(mode="after")
    def _steps_make_sense(self) -> TrainingSpec:
        micro, batch = self.micro_batch_size, self.batch_size
        if micro is not None and batch % micro:
            divisors = ", ".join(str(size) for size in range(1, batch + 1) if batch % size == 0)
            raise ValueError(f"micro_batch_size {micro} does not divide batch_size {batch}; wanted one of {divisors}")
        if self.max_steps and self.warmup_steps and self.warmup_steps >= self.max_steps:
            raise ValueError(f"warmup_steps {self.warmup_steps} leaves none of max_steps {self.max_steps} to train on")
        return self


class GenerationSpec(Section):
    """How answers are generated (tasks instruction and seq2seq)."""

    max_new_tokens: Annotated[int, Field(ge=1)] = 128
    """Longest answer in tokens; one that has not ended by then is cut."""
    num_beams: Annotated[int, Field(ge=1, le=32)] = 1
    """1: greedy, the likeliest token at each step; more: beam search, slower, mostly for translation and summaries."""
    num_examples: Annotated[int, Field(ge=1, le=64)] = 3
    """Training rows that the baseline few_shot puts before each question."""


TUNABLE: dict[str, type[Section]] = {"training": TrainingSpec, "method": MethodSpec}
"""Sections whose fields a search may vary."""


class RescoreSpec(Section):
    """The best of many trials looks better than it is: the first few are trained anew, and the mean decides."""

    top: Annotated[int, Field(ge=1, le=50)] = 3
    """How many of the best trials are trained anew; the spec's own settings always are, where the space holds them."""
    seeds: Annotated[int, Field(ge=0, le=20)] = 2
    """Fresh seeds that each is trained with; 0: none, the best trial is believed."""


class TuningSpec(Section):
    """Search for settings before training, on the validation split, never on the holdout. Off while `space` is empty."""

    space: dict[str, Dimension] = Field(default_factory=dict)
    """Which settings: a field of `training` or `method` by its dotted name -> {low, high, log, step} or {choices: [...]}."""
    metric: Literal["loss", "accuracy"] = "loss"
    """What is searched for: the lowest validation loss, or the highest validation accuracy, at the checkpoint that is kept."""
    trials: Annotated[int, Field(ge=1, le=1000)] = 20
    """Most trials, the pruned and the failed ones counted."""
    minutes: Annotated[float, Field(gt=0)] | None = 60.0
    """Most minutes in which trials run, re-scoring not counted; what is running then ends, once one trial has finished. null: no
    limit."""
    sampler: Literal["tpe", "random"] = "tpe"
    """tpe: looks where good trials were (tree-structured Parzen estimator); random: everywhere."""
    pruner: Literal["median", "hyperband", "none"] = "median"
    """Ends a trial early. median: worse than half of those before it at the same validation; hyperband: successive halving."""
    parallel: Annotated[int, Field(ge=1, le=64)] = 1
    """Trials at once: mapped tasks in Airflow, processes in `ftcore run`. With more than one, two searches differ."""
    seed: Annotated[int, Field(ge=0)] = 17
    """Seeds the sampler."""
    rescore: RescoreSpec = RescoreSpec()
    """How the winner is found among the best."""

    @field_validator("space")
    @classmethod
    def _space_fits_the_fields(cls, space: dict[str, Dimension]) -> dict[str, Dimension]:
        faults = list(space_faults(space, TUNABLE))
        _raise_all("TuningSpec", [((path,), fault) for path, fault in faults])
        return space


def _raise_all(title: str, faults: list[tuple[tuple[str, ...], str]]) -> None:
    """Raise one error that holds every fault with its place."""
    if faults:
        details = [
            InitErrorDetails(type=PydanticCustomError("value_error", "{fault}", {"fault": fault}), loc=place, input={})
            for place, fault in faults
        ]
        raise ValidationError.from_exception_data(title, details)


class EvaluationSpec(Section):
    """What is measured on the holdout."""

    baselines: list[Baseline] = ["majority", "nearest_centroid"]
    """Cheap models scored beside the candidate; every promoted model must beat them. Classification: majority (the most frequent
    class), nearest_centroid (of the base model's embeddings). Generation: base (the base model as it is), few_shot (the base
    model with examples before the question), similar_reply (the most similar training row's answer); default: all."""
    slices: list[str] = Field(default_factory=lambda: ["source"])
    """Columns to slice by; the label is always one."""
    batch_size: Annotated[int, Field(ge=1)] = 64
    """Rows per forward pass."""
    generation: GenerationSpec = GenerationSpec()
    """How answers are generated."""


class GateSpec(Section):
    """The evidence that a promotion needs. Fractions, not percents: 0.005 is half a point."""

    metric: GateMetric = "accuracy"
    """The metric that candidate and champion are compared on; higher is better. Classification: accuracy or macro_f1. Generation:
    chrf (default), bleu, rouge_l, exact_match, or inverse_perplexity (1 / perplexity of the reference answer)."""
    margin: Fraction = 0.005
    """Non-inferiority: the one-sided lower bound (at 1 - alpha) of candidate minus champion must stay above -margin."""
    min_gain: Fraction = 0.005
    """Smallest difference worth a change of production."""
    strict: bool = False
    """Also require p < alpha: exact McNemar (accuracy), sign-flip or swap permutation (groups, other metrics)."""
    alpha: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.05
    """Error rate of each one-sided bound and test that decides: 0.05 means bounds at 95 %. Intervals shown always have 95 %."""
    power: Probability = 0.8
    """Wanted chance of seeing a real gain; with too few rows the verdict is NOT ENOUGH EVIDENCE."""
    floors: dict[MetricName, Fraction] = {"accuracy": 0.7, "macro_f1": 0.6}  # pydantic copies defaults
    """Absolute minima, by metric. For generation the default is `{chrf: 0.2}`."""
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
    """Labelled production rows (or corrected replies) that make a new data version worth retraining on."""


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
    """How often feedback is gathered into a new data version."""


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


_GENERATION_DEFAULTS: dict[str, dict[str, Any]] = {
    "evaluation": {"baselines": ["base", "few_shot", "similar_reply"]},
    "gate": {"metric": "chrf", "floors": {"chrf": 0.2}},
}


def measure_faults(task: Task, evaluation: EvaluationSpec, gate: GateSpec) -> list[str]:
    """Metrics and baselines that the task does not have, one line each."""
    generates = task != "classification"
    metrics = get_args(GenerationMetric) if generates else ("accuracy", "macro_precision", "macro_recall", "macro_f1")
    baselines = _GENERATION_DEFAULTS["evaluation"]["baselines"] if generates else ["majority", "nearest_centroid"]
    named = [("gate.metric", gate.metric), *(("gate.floors", name) for name in gate.floors)]
    faults = [
        f"{path}: {name!r} is no metric of task {task}; wanted {' or '.join(metrics)}"
        for path, name in named
        if name not in metrics
    ]
    faults += [
        f"evaluation.baselines: {name!r} is no baseline of task {task}; wanted {' or '.join(baselines)}"
        for name in evaluation.baselines
        if name not in baselines
    ]
    if gate.metric == "inverse_perplexity" and "similar_reply" in evaluation.baselines:
        wanted = "leave it out, or choose another gate.metric"
        faults.append(f"evaluation.baselines: similar_reply copies answers and so has no perplexity; {wanted}")
    return faults


# Settings of `training` that only some tasks heed: the value that means nothing, and those tasks.
_ONLY_FOR: dict[str, tuple[Any, tuple[Task, ...]]] = {
    "head_rate_factor": (1.0, ("classification",)),
    "class_weights": ("none", ("classification",)),
    "label_smoothing": (0.0, ("classification", "seq2seq")),
    "loss_on": ("answer", ("instruction",)),
    "packing": (False, ("instruction",)),
    "neftune_alpha": (None, ("instruction",)),
}
# Settings that change what the validation loss is taken over: trials with other values cannot be compared by it.
_CHANGES_LOSS: dict[str, tuple[Task, ...]] = {
    "training.max_length": ("instruction", "seq2seq"),
    "training.loss_on": ("instruction",),
    "training.class_weights": ("classification",),
}


class FineTuneSpec(Section):
    """One model in production: its data, how it is made, what it must show, how it is watched."""

    name: Name
    """Names the model everywhere: DAG ids, MLflow registered model, ledger."""
    task: Task = "classification"
    """What the model does. classification: names a class; instruction: answers in a conversation; seq2seq: turns one text into
    another."""
    description: str = ""
    """For people."""
    data: DataSpec = DataSpec()
    validation: ValidationSpec = ValidationSpec()
    leakage: LeakageSpec = LeakageSpec()
    prepare: PrepareSpec = PrepareSpec()
    base_model: BaseModelSpec
    method: MethodSpec = MethodSpec()
    training: TrainingSpec = TrainingSpec()
    tuning: TuningSpec = TuningSpec()
    evaluation: EvaluationSpec = EvaluationSpec()
    gate: GateSpec = GateSpec()
    approval: ApprovalSpec = ApprovalSpec()
    monitoring: MonitoringSpec = MonitoringSpec()
    alerts: AlertsSpec = AlertsSpec()
    schedule: ScheduleSpec = ScheduleSpec()
    compute: ComputeSpec = ComputeSpec()

    _root: Path = PrivateAttr(default_factory=Path.cwd)

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_task(cls, raw: Any) -> Any:
        """Settings whose default depends on the task become explicit, so that digests and cache keys cover them."""
        if not isinstance(raw, Mapping) or raw.get("task") not in ("instruction", "seq2seq"):
            return raw
        filled = dict(raw)
        for section, defaults in _GENERATION_DEFAULTS.items():
            given = filled.get(section, {})
            if isinstance(given, Mapping):
                filled[section] = {**defaults, **given}
        return filled

    @model_validator(mode="after")
    def _measures_fit_task(self) -> FineTuneSpec:
        faults = measure_faults(self.task, self.evaluation, self.gate)
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @model_validator(mode="after")
    def _format_fits_task(self) -> FineTuneSpec:
        if self.data.format != "auto" and (self.data.format == "classification") != (self.task == "classification"):
            raise ValueError(
                f"data.format {self.data.format!r} does not fit task {self.task!r}; wanted `auto` or a format of it"
            )
        return self

    @model_validator(mode="after")
    def _training_fits_task(self) -> FineTuneSpec:
        """A setting that the task would ignore is a fault: nobody should believe that it did something."""
        ignored = [
            f"training.{name} {getattr(self.training, name)!r} has no effect for {self.task}, only for {' and '.join(tasks)}"
            for name, (unset, tasks) in _ONLY_FOR.items()
            if self.task not in tasks and getattr(self.training, name) != unset
        ]
        if self.method.shots is not None and self.task != "classification":
            ignored.append(f"method.shots counts rows of a class; task {self.task!r} has none")
        if ignored:
            raise ValueError("; ".join(ignored))
        return self

    @model_validator(mode="after")
    def _trials_can_be_compared(self) -> FineTuneSpec:
        faults: list[tuple[tuple[str, ...], str]] = []
        if self.tuning.space and self.task == "seq2seq" and self.tuning.metric == "accuracy":
            faults.append((("tuning", "metric"), "saw 'accuracy'; task seq2seq measures none, wanted loss"))
        for path, tasks in _CHANGES_LOSS.items():
            if path in self.tuning.space and self.task in tasks:
                fault = f"cannot be searched for task {self.task}: it changes what the validation loss is taken over"
                faults.append((("tuning", "space", path), fault))
        faults += [(("tuning", *path), fault) for path, fault in _phase_search_faults(self)]
        _raise_all("FineTuneSpec", faults)
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
    if method.name in _VIRTUAL and (method.distill or method.prefer):
        phase = "distill" if method.distill else "prefer"
        faults.append(
            f"method.{phase} and {method.name} exclude each other: virtual tokens stay outside of the weights"
        )
    if method.distill and spec.training.packing:
        faults.append("training.packing is not for method.distill: student and teacher read row by row")
    if method.prefer and method.prefer.algorithm == "kto" and 1 in (
        spec.training.batch_size, spec.training.micro_batch_size,
    ):  # fmt: skip
        faults.append(
            "method.prefer.algorithm kto compares the rows of a forward pass; saw one row, wanted two or more"
        )
    if method.curriculum and method.curriculum.difficulty == "column" and not spec.data.columns.difficulty:
        faults.append("method.curriculum.difficulty column needs data.columns.difficulty, the column's name")
    return faults


def _phase_search_faults(spec: FineTuneSpec) -> Iterable[tuple[tuple[str, ...], str]]:
    """Where a search would vary phases in ways that cannot be compared."""
    for path in spec.tuning.space:
        section, _, rest = path.removeprefix("method.").partition(".")
        if path.startswith("method.") and section in _PHASES and getattr(spec.method, section) is None:
            yield ("space", path), f"method.{section} is not set; wanted the section, in which to vary {rest}"
        if spec.method.prefer and path not in _PREFER_SEARCHED:
            fault = "with method.prefer, scores are taken against the model before; wanted only "
            yield ("space", path), fault + " or ".join(_PREFER_SEARCHED)
    rated = spec.method.prefer and spec.method.prefer.algorithm == "kto"
    if spec.tuning.space and spec.tuning.metric == "accuracy" and rated:
        yield ("metric",), "saw 'accuracy'; method.prefer.algorithm kto measures none, wanted loss"
