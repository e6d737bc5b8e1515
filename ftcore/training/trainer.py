"""transformers' Trainer with five habits changed, for every task and for TRL's trainers alike.

It stops at the first NaN or infinity instead of hiding it; checkpoints are published whole and hold only what training
changes; the order of the rows depends on seed and epoch alone; the validation loss is the mean over all rows or tokens, however
they are cut into batches; progress is one line now and then instead of a bar.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.data import Sampler
from transformers import EarlyStoppingCallback, PrinterCallback, TrainerCallback
from transformers.trainer_callback import ExportableState

from ftcore.errors import TrainingDiverged
from ftcore.records import canonical_json
from ftcore.spec import TrainingSpec
from ftcore.store import write_durable
from ftcore.training import checkpoints
from ftcore.training.examples import LengthGroupedSampler
from ftcore.training.history import History, Validation
from ftcore.training.methods import load_trained_state, trained_state
from ftcore.training.sharing import OPTIMIZER, SCHEDULER, SharedTrainer, on_one_device, sharded_like, whole

SAID = "train: "
"""How a progress line begins."""
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
    """One line on standard error before the first step, about every five seconds, and after each validation."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.said_at = self.began_at = time.monotonic()
        self.first_step = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.said_at = self.began_at = time.monotonic()
        self.first_step = state.global_step
        rows = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        say(f"{state.max_steps - state.global_step} steps of {rows} rows")

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        now = time.monotonic()
        if now - self.said_at < _SAY_EVERY_S:
            return
        self.said_at = now
        steps_per_s = (state.global_step - self.first_step) / (now - self.began_at)
        left_s = (state.max_steps - state.global_step) / steps_per_s
        say(
            f"step {state.global_step}/{state.max_steps} epoch {state.epoch:.2f} loss {self.history.loss[-1]:.4f} "
            f"{steps_per_s * args.train_batch_size * args.gradient_accumulation_steps * args.world_size:.0f} rows/s, "
            f"at most {left_s:.0f} s left"
        )

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        last = self.history.validations[-1]
        best = min(self.history.validations, key=lambda validation: validation.loss)
        note = "best so far" if last is best else f"best was {best.loss:.4f} at step {best.step}"
        accuracy = "" if last.accuracy is None else f" accuracy {last.accuracy:.4f}"
        say(f"epoch {last.epoch:.2f} validation loss {last.loss:.4f}{accuracy} ({note})")


def say(line: str) -> None:
    """One progress line; of several processes that train together the first speaks."""
    if os.environ.get("RANK", "0") == "0":
        sys.stderr.write(f"{SAID}{line}\n")
        sys.stderr.flush()


class DurableTrainer(SharedTrainer):
    """Stands before a Trainer class in the list of bases; see the module's docstring for what differs.

    A subclass whose data set has no `tokens` gives `token_lists` of its own.

    Args:
        model: What is trained; frozen parameters are left out of checkpoints.
        history: Filled step by step.
        training: Patience, order of the rows, which checkpoints to keep.
        arguments: Those of the Trainer class behind this one.
    """

    order: RowOrder | None = None
    """Makes the sampler of the training rows; None: shuffled, rows of like length together."""

    def __init__(self, model: nn.Module, history: History, training: TrainingSpec, **arguments: Any) -> None:
        on_one_device(arguments["args"])
        super().__init__(model, **arguments)
        self.history, self.training = history, training
        self.on_validation: Callable[[History], None] | None = None
        """Called after each validation, before its checkpoint; what it raises ends training."""
        self._step_loss = 0.0
        self._validated: list[tuple[float, int]] = []
        self.remove_callback(PrinterCallback)
        if self.args.process_index == 0:
            self.add_callback(Progress(history))
        if training.patience:
            self.add_callback(EarlyStopping(early_stopping_patience=training.patience))

    def lengths(self, rows: Any) -> list[int]:
        """Tokens of each row, for batches of rows of like length."""
        return [len(ids) for ids in self.token_lists(rows)]

    def token_lists(self, rows: Any) -> list[list[int]]:
        """Token ids of each row."""
        found: list[list[int]] = rows.tokens
        return found

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        # Sorted into optimiser steps, not into forward passes: accumulation must meet the rows that one big batch would.
        lengths = self.lengths(train_dataset or self.train_dataset)
        if self.order is not None:
            return self.order(lengths, self.rows_per_step, self.args.seed)
        if not self.training.group_by_length:
            lengths = [0] * len(lengths)  # all alike: the shuffled order stays
        return LengthGroupedSampler(lengths, self.rows_per_step, self.args.seed)

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """Forward and backward pass of one batch, or of its part where gradients are accumulated.

        Raises:
            TrainingDiverged: The loss is NaN or infinite. Raised before the weights change.
        """
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        if (
            self.args.world_size == 1
        ):  # else all processes find it at the end of the step, so that none waits for another
            self._finite("training loss", float(loss))
        self._step_loss += float(loss)
        if self.accelerator.sync_gradients:
            if self.args.world_size > 1:
                mean = float(self.summed([self._step_loss])[0]) / self.args.world_size
                self._step_loss = self._finite("training loss", mean)
            self.history.loss.append(self._step_loss)
            self.history.learning_rate.append(float(self.lr_scheduler.get_last_lr()[0]))
            self._step_loss = 0.0
        return loss

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        norm = whole(super()._clip_grad_norm(model))
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
        if self.on_validation is not None:
            self.on_validation(self.history)
        return metrics

    def validation_loss(self) -> float:
        """The loss of the model as it is now; the history stays as it is."""
        loop = self.evaluation_loop(self.get_eval_dataloader(), "Validation", prediction_loss_only=True)
        return self._finite("validation loss", float(loop.metrics["eval_loss"]))

    def loss_of(self, rows: Sequence[Any]) -> torch.Tensor:
        """Loss of training rows as one batch, outside of training: to measure what a pass takes."""
        batch = self._prepare_inputs(self.data_collator(list(rows)))
        items = self._get_num_items_in_batch([batch], self.args.device)
        self.current_gradient_accumulation_steps = 1  # the training loop sets it before each step
        was_training = self.model.training
        self.model.train()
        loss: torch.Tensor = self.compute_loss(self.model, batch, num_items_in_batch=items)
        self.model.train(was_training)
        return loss

    def mean_of_step(self, total: torch.Tensor, own_items: Any, items: Any) -> torch.Tensor:
        """What a pass adds to the loss of its optimiser step.

        Args:
            total: Summed over the pass.
            own_items: Of the pass alone: rows, or answer tokens.
            items: Of the whole step on all processes, whose gradients are averaged, not added; None: the pass is alone.
        """
        if items is None:
            return total / own_items
        return total / items * self.accelerator.num_processes

    def num_items(self, batch: dict[str, Any]) -> int:
        """What the loss of a batch, taken alone, is the mean of: rows (classification) or answer tokens."""
        return int(self._get_num_items_in_batch([batch], self.args.device))

    def prediction_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        items = self.num_items(inputs)
        if self.is_spare(len(self._validated)):
            inputs, items = self.without_targets(inputs), 0
        result = super().prediction_step(model, inputs, *args, **kwargs)
        self._validated.append((float(result[0]), items))
        return result

    def without_targets(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A spare batch as the Trainer class behind this one should see it, if it adds up over processes by itself."""
        return batch

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """The parent's, with the loss weighted by rows (classification) or answer tokens: it takes the mean of batch means."""
        self._validated.clear()
        loop = super().evaluation_loop(*args, **kwargs)
        loop.metrics["eval_loss"] = self._mean([loss for loss, _ in self._validated])
        return loop

    def _mean(self, of_batches: list[float]) -> float:
        """Of a value per validation batch, over the items in them."""
        total = sum(value * items for value, (_, items) in zip(of_batches, self._validated, strict=True))
        return self._per_item(total)

    def _per_item(self, total: float) -> float:
        """A sum over this process's validation rows or tokens, divided by the items, over all processes."""
        total_of_all, items = self.summed([total, sum(items for _, items in self._validated)])
        return float(total_of_all / items)

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
        state = self.whole_state()
        optimizer, random_states = self.optimizer_state(), self.random_states()
        if not all(bool(torch.isfinite(tensor).all()) for tensor in state.values()):
            raise TrainingDiverged(
                f"Weights became NaN or infinite at step {step}; nothing saved.", hint=_DIVERGED_HINT
            )
        needed = self.history.steps_to_keep(self.training.final_weights, self.training.average_checkpoints)
        if self.args.process_index != 0:
            return
        with checkpoints.writing(folder, step) as place:
            save_file(state, place / WEIGHTS)
            torch.save(optimizer, place / OPTIMIZER)
            torch.save(self.lr_scheduler.state_dict(), place / SCHEDULER)
            for name, random_state in random_states.items():
                (place / name).write_bytes(random_state)
            self.history.save(place / HISTORY)
            for callback in [*self.callback_handler.callbacks, self.control]:
                if isinstance(callback, ExportableState):
                    self.state.stateful_callbacks[type(callback).__name__] = callback.state()
            self.state.save_to_json(str(place / checkpoints.STATE))
            write_durable(place / checkpoints.RELIES_ON, canonical_json([other for other in needed if other != step]))
        checkpoints.rotate(folder, needed)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        state = load_file(Path(resume_from_checkpoint) / WEIGHTS)
        self.cut_up_again()
        now = trained_state(self.model)
        load_trained_state(
            self.model, {name: sharded_like(now.get(name, tensor), tensor) for name, tensor in state.items()}
        )
