"""transformers' Trainer with four habits changed, for every task and for TRL's trainers alike.

It stops at the first NaN or infinity instead of hiding it; checkpoints are published whole and hold only what training
changes; the order of the rows depends on seed and epoch alone; progress is one line now and then instead of a bar.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.data import Sampler
from transformers import EarlyStoppingCallback, PrinterCallback, Trainer, TrainerCallback
from transformers.trainer_callback import ExportableState

from ftcore.errors import TrainingDiverged
from ftcore.training import checkpoints
from ftcore.training.examples import LengthGroupedSampler
from ftcore.training.history import History, Validation
from ftcore.training.methods import load_trained_state, trained_state

WEIGHTS = "trained.safetensors"
HISTORY = "history.json"
RowOrder = Callable[[Sequence[int], int, int], Sampler[int]]
"""Token counts of the rows, rows per optimiser step and seed to a sampler whose order depends on seed and epoch alone."""
_SAY_EVERY_S = 5.0
_DIVERGED_HINT = "--set training.learning_rate=1e-4, or look at the rows for broken text"


class EarlyStopping(EarlyStoppingCallback):  # type: ignore[misc]
    """Patience on the validation loss; its counter is part of every checkpoint."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The parent warns unless Trainer itself restores the best model; here `fine_tune` does, from verified files."""


class Progress(TrainerCallback):  # type: ignore[misc]
    """One line on standard error about every five seconds and after each validation."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.said_at = self.began_at = time.monotonic()
        self.first_step = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.said_at = self.began_at = time.monotonic()
        self.first_step = state.global_step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        now = time.monotonic()
        if now - self.said_at < _SAY_EVERY_S:
            return
        self.said_at = now
        steps_per_s = (state.global_step - self.first_step) / (now - self.began_at)
        left_s = (state.max_steps - state.global_step) / steps_per_s
        say(
            f"step {state.global_step}/{state.max_steps} epoch {state.epoch:.2f} loss {self.history.loss[-1]:.4f} "
            f"{steps_per_s * args.train_batch_size * args.gradient_accumulation_steps:.0f} rows/s, at most {left_s:.0f} s left"
        )

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        last = self.history.validations[-1]
        best = min(self.history.validations, key=lambda validation: validation.loss)
        note = "best so far" if last is best else f"best was {best.loss:.4f} at step {best.step}"
        accuracy = "" if last.accuracy is None else f" accuracy {last.accuracy:.4f}"
        say(f"epoch {last.epoch:.2f} validation loss {last.loss:.4f}{accuracy} ({note})")


def say(line: str) -> None:
    """One progress line."""
    sys.stderr.write(f"train: {line}\n")
    sys.stderr.flush()


class DurableTrainer(Trainer):  # type: ignore[misc]
    """Stands before a Trainer class in the list of bases; see the module's docstring for what differs.

    A subclass whose data set is no sequence of token lists gives `lengths` of its own.

    Args:
        model: What is trained; frozen parameters are left out of checkpoints.
        history: Filled step by step.
        patience: Validations without a lower loss before training ends; 0: never.
        arguments: Those of the Trainer class behind this one.
    """

    order: RowOrder | None = None
    """Makes the sampler of the training rows; None: shuffled, rows of like length together."""

    def __init__(self, model: nn.Module, history: History, patience: int, **arguments: Any) -> None:
        super().__init__(model, **arguments)
        self.history = history
        self._step_loss = 0.0
        self.remove_callback(PrinterCallback)
        self.add_callback(Progress(history))
        if patience:
            self.add_callback(EarlyStopping(early_stopping_patience=patience))

    def lengths(self, rows: Any) -> list[int]:
        """Tokens of each row, for batches of rows of like length."""
        return [len(row) for row in rows.tokens]

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        # Sorted into optimiser steps, not into forward passes: accumulation must meet the rows that one big batch would.
        rows_per_step = self.args.train_batch_size * self.args.gradient_accumulation_steps
        lengths = self.lengths(train_dataset or self.train_dataset)
        if self.order is not None:
            return self.order(lengths, rows_per_step, self.args.seed)
        return LengthGroupedSampler(lengths, rows_per_step, self.args.seed)

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """Forward and backward pass of one batch, or of its part where gradients are accumulated.

        Raises:
            TrainingDiverged: The loss is NaN or infinite. Raised before the weights change.
        """
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        self._step_loss += self._finite("training loss", float(loss))
        if self.accelerator.sync_gradients:
            self.history.loss.append(self._step_loss)
            self.history.learning_rate.append(float(self.lr_scheduler.get_last_lr()[0]))
            self._step_loss = 0.0
        return loss

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        norm = super()._clip_grad_norm(model)
        self.history.grad_norm.append(self._finite("gradient norm", float(norm)))
        return norm

    def _finite(self, what: str, value: float) -> float:
        if not math.isfinite(value):
            step = self.state.global_step + 1
            message = (
                f"{what.capitalize()} became {value} at step {step}; wanted a finite number. Training stopped there."
            )
            raise TrainingDiverged(message, hint=_DIVERGED_HINT)
        return value

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Loss on the validation split, and accuracy where the task has one.

        Raises:
            TrainingDiverged: The loss is NaN or infinite.
        """
        metrics: dict[str, float] = super().evaluate(*args, **kwargs)
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Keep validations in the history; the parent's own log would make checkpoints grow with every line."""
        if "eval_loss" in logs:
            loss = self._finite("validation loss", float(logs["eval_loss"]))
            share = logs.get("eval_accuracy")
            accuracy = None if share is None else float(share)
            seen = Validation(self.state.global_step, float(self.state.epoch or 0), loss, accuracy)
            self.history.validations.append(seen)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not counted: the parent walks over all modules at every step to do so."""
        return 0

    def _save_checkpoint(self, model: nn.Module, trial: Any = None) -> None:
        folder, step = Path(self.args.output_dir), self.state.global_step
        state = trained_state(self.model)
        if not all(bool(torch.isfinite(tensor).all()) for tensor in state.values()):
            raise TrainingDiverged(
                f"Weights became NaN or infinite at step {step}; nothing saved.", hint=_DIVERGED_HINT
            )
        with checkpoints.writing(folder, step) as place:
            save_file(state, place / WEIGHTS)
            self._save_optimizer_and_scheduler(str(place))
            self._save_rng_state(str(place))
            self.history.save(place / HISTORY)
            for callback in [*self.callback_handler.callbacks, self.control]:
                if isinstance(callback, ExportableState):
                    self.state.stateful_callbacks[type(callback).__name__] = callback.state()
            self.state.save_to_json(str(place / checkpoints.STATE))
        checkpoints.rotate(folder, self.state.best_global_step)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        load_trained_state(self.model, load_file(Path(resume_from_checkpoint) / WEIGHTS))
