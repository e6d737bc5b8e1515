"""Optional parts of `method`: each adds a phase or a loss to fine-tuning, and all are off by default."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ftcore.spec.base import Fraction, Section

Positive = Annotated[float, Field(gt=0)]


class AdaptSpec(Section):
    """Domain adaptation: the base model reads plain text of the field first, then is fine-tuned (encoders and decoders)."""

    texts: list[str] = Field(default_factory=list)
    """Files inside the data version (names or patterns, not those of `data.files`): .txt with one text a line, or .csv, .jsonl
    and .parquet with the column `data.columns.text`."""
    columns: list[Literal["text", "completion"]] = ["text"]
    """What to read of the training rows; empty: only `texts`. Validation and test rows are never read."""
    epochs: Positive = 1.0
    """Passes over the texts."""
    learning_rate: Positive = 5e-5
    """Peak learning rate."""
    max_length: Annotated[int, Field(ge=4)] | None = None
    """Tokens in one piece of text; longer texts become several pieces. null: `training.max_length`."""
    mask_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Share of tokens that an encoder has to guess (masked language modelling). Decoders guess every next token."""

    @model_validator(mode="after")
    def _reads_something(self) -> AdaptSpec:
        if not self.texts and not self.columns:
            raise ValueError("texts and columns are both empty; wanted something to read")
        return self


class DistillSpec(Section):
    """Distillation: a smaller student learns the probabilities of a teacher besides the labels (Hinton et al. 2015)."""

    teacher: str = "new"
    """new: the base model, fine-tuned by this very run before the student; champion: the model in production (of a student its
    own teacher); else a fine-tuned model, named as `base_model.name` is."""
    teacher_revision: str | None = None
    """Commit of the Hub repository; required for a Hub id."""
    student_layers: Annotated[int, Field(ge=1)] | None = None
    """The student is the teacher with so many of its layers, evenly spread (classification, instruction). null: the student is
    `base_model`."""
    temperature: Positive = 2.0
    """Softens the probabilities of both; the loss is scaled by its square, so that gradients keep their size."""
    weight: Fraction = 0.5
    """Share of the teacher in the loss; the rest is the labels'."""
    epochs: Positive | None = None
    """Passes of the student over the training rows; null: `training.epochs`."""
    embedding_weight: Annotated[float, Field(ge=0)] = 0.0
    """Added to the loss so many times: 1 - cosine of the mean last hidden states of student and teacher (classification; both
    need the same width)."""

    @model_validator(mode="after")
    def _fits_together(self) -> DistillSpec:
        if self.teacher == "new" and self.student_layers is None:
            raise ValueError("teacher `new` is made of base_model; wanted student_layers, or else a teacher by name")
        if self.teacher_revision is not None and self.teacher in ("new", "champion"):
            raise ValueError(f"teacher_revision does not belong to teacher `{self.teacher}`")
        return self


class CurriculumSpec(Section):
    """Curriculum: training begins with the easiest rows and takes in harder ones (Platanios et al. 2019)."""

    difficulty: Literal["length", "base_loss", "column"] = "length"
    """length: tokens; base_loss: what the base model makes of the row (classification: how much nearer its embedding is to the
    centroid of another class than to that of its own; else the mean loss of the answer's tokens); column: the number in the
    column that `data.columns.difficulty` names."""
    pacing: Literal["linear", "root", "step"] = "root"
    """How the share of rows in use grows to 1: evenly, fast at first (square root), or in four equal steps."""
    start_fraction: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Share of rows in use at the first step."""
    until: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of all steps after which every row is in use."""


class PreferSpec(Section):
    """Preference refinement: the tuned model learns from ratings of answers (instruction only)."""

    algorithm: Literal["kto", "dpo"] = "kto"
    """kto: thumbs up and down (Ethayarajh et al. 2024); dpo: pairs of a better and a worse answer (Rafailov et al. 2023)."""
    data: Annotated[list[str], Field(min_length=1)]
    """Files inside the data version (names or patterns, not those of `data.files`). kto: rows with `rating` and either `messages`
    or `prompt` and `completion`; dpo: rows with `prompt`, `chosen` and `rejected`. While a wildcard matches no file yet, training
    goes without this phase."""
    beta: Positive = 0.1
    """How strongly the model is kept near what it was before."""
    epochs: Positive = 1.0
    """Passes over the ratings."""
    learning_rate: Positive = 5e-6
    """Peak learning rate."""
