"""Optimisation: batches, steps, losses."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    Field,
    model_validator,
)

from ftcore.spec.base import Fraction, Section

Schedule = Literal["linear", "cosine", "constant", "inverse_sqrt", "warmup_stable_decay"]


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
