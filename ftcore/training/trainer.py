"""transformers' Trainer with four habits changed.

It stops at the first NaN or infinity instead of hiding it; checkpoints are published whole and hold only what training
changes; the order of the rows depends on seed and epoch alone; progress is one line now and then instead of a bar.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import EarlyStoppingCallback, EvalPrediction, PrinterCallback, Trainer, TrainerCallback
from transformers.trainer_callback import ExportableState

from ftcore.errors import TrainingDiverged
from ftcore.training import checkpoints
from ftcore.training.examples import LengthGroupedSampler, TokenDataset
from ftcore.training.history import History, Validation
from ftcore.training.methods import head_parameters, load_trained_state, trained_state

WEIGHTS = "trained.safetensors"
HISTORY = "history.json"
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
            f"{steps_per_s * args.train_batch_size:.0f} rows/s, at most {left_s:.0f} s left"
        )

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        last = self.history.validations[-1]
        best = min(self.history.validations, key=lambda validation: validation.loss)
        note = "best so far" if last is best else f"best was {best.loss:.4f} at step {best.step}"
        say(f"epoch {last.epoch:.2f} validation loss {last.loss:.4f} accuracy {last.accuracy:.4f} ({note})")


def say(line: str) -> None:
    """One progress line."""
    sys.stderr.write(f"train: {line}\n")
    sys.stderr.flush()


def accuracy(predictions: EvalPrediction) -> dict[str, float]:
    """Share of rows whose highest logit is their class."""
    return {"accuracy": float(np.mean(predictions.predictions.argmax(axis=-1) == predictions.label_ids))}


class ClassifierTrainer(Trainer):  # type: ignore[misc]
    """Trains a sequence classifier; see the module's docstring for what differs from its parent.

    Args:
        model: From `build_model`.
        history: Filled step by step.
        label_smoothing: In the training loss only; the validation loss stays comparable between settings.
        patience: Validations without a lower loss before training ends; 0: never.
        head_rate_factor: Learning rate of the head, as a multiple of the encoder's.
        arguments: Those of `transformers.Trainer`.
    """

    def __init__(
        self,
        model: nn.Module,
        history: History,
        label_smoothing: float,
        patience: int,
        head_rate_factor: float,
        **arguments: Any,
    ) -> None:
        super().__init__(model, compute_metrics=accuracy, **arguments)
        self.history = history
        self.label_smoothing = label_smoothing
        self.head_rate_factor = head_rate_factor
        self.remove_callback(PrinterCallback)
        self.add_callback(Progress(history))
        if patience:
            self.add_callback(EarlyStopping(early_stopping_patience=patience))

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """The parent's, with the head's parameters in groups of their own that have a higher rate."""
        is_new = self.optimizer is None
        optimizer: torch.optim.Optimizer = super().create_optimizer(model)
        if is_new and self.head_rate_factor != 1.0:
            head = {id(parameter) for parameter in head_parameters(model or self.model)}
            for group in list(optimizer.param_groups):
                moved = [item for item in group["params"] if id(item) in head]
                group["params"] = [item for item in group["params"] if id(item) not in head]
                if moved:
                    rate = group["lr"] * self.head_rate_factor
                    optimizer.add_param_group({**group, "params": moved, "lr": rate})
        return optimizer

    def _get_train_sampler(self, train_dataset: TokenDataset | None = None) -> LengthGroupedSampler:
        rows: TokenDataset = train_dataset or self.train_dataset
        return LengthGroupedSampler([len(row) for row in rows.tokens], self.args.train_batch_size, self.args.seed)

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], return_outputs: bool = False, **kwargs: Any
    ) -> Any:
        """Cross-entropy in float32."""
        outputs = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        smoothing = self.label_smoothing if model.training else 0.0
        loss = nn.functional.cross_entropy(outputs.logits.float(), inputs["labels"], label_smoothing=smoothing)
        return (loss, {"logits": outputs.logits}) if return_outputs else loss

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """Forward and backward pass of one batch.

        Raises:
            TrainingDiverged: The loss is NaN or infinite. Raised before the weights change.
        """
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        self.history.loss.append(self._finite("training loss", float(loss)))
        self.history.learning_rate.append(float(self.lr_scheduler.get_last_lr()[0]))
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
        """Loss and accuracy on the validation split.

        Raises:
            TrainingDiverged: The loss is NaN or infinite.
        """
        metrics: dict[str, float] = super().evaluate(*args, **kwargs)
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Keep validations in the history; the parent's own log would make checkpoints grow with every line."""
        if "eval_loss" in logs:
            loss = self._finite("validation loss", float(logs["eval_loss"]))
            seen = Validation(self.state.global_step, float(self.state.epoch or 0), loss, float(logs["eval_accuracy"]))
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
