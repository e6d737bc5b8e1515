"""The `training` section as arguments of transformers' Trainer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ftcore.models.devices import Device
from ftcore.spec import TrainingSpec

_SCHEDULERS = {"constant": "constant_with_warmup"}
_DECAY_SHARE = 0.2


def trainer_arguments(
    training: TrainingSpec, num_rows: int, device: Device, checkpoint_dir: Path, micro_batch_size: int, eval_rows: int
) -> dict[str, Any]:
    """What transformers' and TRL's TrainingArguments have in common.

    Args:
        num_rows: Of the training split.
        micro_batch_size: Rows per forward pass; divides the rows of a step that each process has.
    """
    per_epoch = steps_per_epoch(training, num_rows)
    every = max(1, round(per_epoch * training.eval_every))
    warmup = warmup_steps(training, num_rows)
    decay = min(math.ceil(num_steps(training, num_rows) * _DECAY_SHARE), max(num_steps(training, num_rows) - warmup, 1))
    return {
        "output_dir": str(checkpoint_dir),
        "per_device_train_batch_size": micro_batch_size,
        "gradient_accumulation_steps": training.batch_size // (micro_batch_size * device.num_processes),
        "per_device_eval_batch_size": rows_of_validation(training, micro_batch_size, eval_rows),
        "num_train_epochs": training.epochs,
        "max_steps": training.max_steps or -1,
        "learning_rate": training.learning_rate,
        "lr_scheduler_type": _SCHEDULERS.get(training.schedule, training.schedule),
        "lr_scheduler_kwargs": {"num_decay_steps": decay} if training.schedule == "warmup_stable_decay" else None,
        "warmup_steps": warmup,
        "weight_decay": training.weight_decay,
        "max_grad_norm": training.max_grad_norm,
        "activation_checkpointing": training.gradient_checkpointing,
        "neftune_noise_alpha": training.neftune_alpha,
        "optim": "adamw_torch_fused" if device.fused else "adamw_torch",
        "seed": training.seed,
        "eval_strategy": "steps",
        "save_strategy": "steps",
        "eval_steps": every,
        "save_steps": every,
        "logging_strategy": "no",
        "logging_nan_inf_filter": False,
        "metric_for_best_model": "eval_loss",
        "greater_is_better": False,
        "restore_callback_states_from_checkpoint": True,
        "use_cpu": device.device == "cpu",
        "bf16": device.precision == "bf16",
        "dataloader_pin_memory": device.device == "cuda",
        "remove_unused_columns": False,
        "report_to": "none",
        "disable_tqdm": True,
    }


def steps_per_epoch(training: TrainingSpec, num_rows: int) -> int:
    """Optimiser steps of one pass; the last may have fewer rows."""
    return math.ceil(num_rows / training.batch_size)


def num_steps(training: TrainingSpec, num_rows: int) -> int:
    """Optimiser steps of the whole run, if nothing ends it early."""
    return training.max_steps or math.ceil(training.epochs * steps_per_epoch(training, num_rows))


def warmup_steps(training: TrainingSpec, num_rows: int) -> int:
    """Optimiser steps over which the learning rate rises."""
    if training.warmup_steps is not None:
        return training.warmup_steps
    return math.ceil(num_steps(training, num_rows) * training.warmup_fraction)


def rows_of_validation(training: TrainingSpec, micro_batch_size: int, at_least: int) -> int:
    """Rows per forward pass of a validation; fewer together with the micro-batch: memory is lacking for both or neither."""
    return max(1, max(at_least, training.batch_size) * micro_batch_size // training.batch_size)


def smaller_micro_batch(batch_size: int, rows: int, fewest: int = 1) -> int | None:
    """The largest divisor of `batch_size` that is at most half of `rows`; None: there is nothing from `fewest` rows on."""
    return next((size for size in range(rows // 2, fewest - 1, -1) if batch_size % size == 0), None)


def of_phase(training: TrainingSpec, **changes: Any) -> TrainingSpec:
    """The section for a phase with rows of its own: what counts the steps of the main phase, or is for its rows alone, is left
    out; `changes` say the rest."""
    unset = {"max_steps": None, "warmup_steps": None, "packing": False, "neftune_alpha": None}
    return training.model_copy(update=unset | changes)
