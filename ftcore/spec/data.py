"""Data: where it comes from, what it must stand up to."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from ftcore.spec.base import Fraction, Section, without_unset

Part = Literal["train", "validation", "test", "any"]
LeakageRule = Literal[
    "exact", "normalised", "near_duplicate", "contained", "ngram13", "target_in_prompt", "group", "time", "reused"
]
DataFormat = Literal["auto", "classification", "messages", "prompt_completion", "alpaca", "sharegpt", "turns"]
SplitBy = Literal["group", "random", "stratified", "time", "near_duplicate"]


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
