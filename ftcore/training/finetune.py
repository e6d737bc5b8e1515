"""Fine-tune from prepared rows: build, train (or go on where a crash left off), restore the best, save, check."""

from __future__ import annotations

import json
import math
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import set_seed
from transformers.utils import logging as transformers_logging

from ftcore.errors import IntegrityError
from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.spec import MethodSpec, Task, TrainingSpec
from ftcore.training import checkpoints
from ftcore.training.history import History
from ftcore.training.methods import apply_method, load_trained_state, num_parameters
from ftcore.training.tasks import Rows, TrainingTask, make_task
from ftcore.training.trainer import HISTORY, WEIGHTS, RowOrder, say

RELOAD_TOLERANCE = 1e-5
MERGE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class FineTuned:
    """What one run gave, besides the files it wrote."""

    model_digest: str
    history: History
    best_step: int
    best_validation_loss: float
    num_steps: int
    num_epochs: float
    train_s: float
    """Seconds of optimisation, validation and checkpoints in this process; a resumed run counts its own share only."""
    samples_per_s: float
    """Training rows per second over `train_s`."""
    num_trainable: int
    num_parameters: int
    resumed_from: int | None
    """Step of the checkpoint that training went on from."""


def fine_tune(
    train_rows: Rows,
    validation_rows: Rows,
    labels: tuple[str, ...] = (),
    *,
    task: Task = "classification",
    base: BaseModel,
    method: MethodSpec,
    training: TrainingSpec,
    device: Device,
    checkpoint_dir: Path,
    output_dir: Path,
    champion: BaseModel | None = None,
) -> FineTuned:
    """Train, keep the weights of the lowest validation loss, and save them.

    Args:
        train_rows: Prepared rows: `text` and `label`, or `messages`.
        validation_rows: Same; choose the checkpoint and end training early.
        labels: Class names of a classifier; the position is the class index.
        task: What the model does.
        base: Checked base model.
        method: What is trained.
        training: How.
        device: Where.
        checkpoint_dir: Kept by the caller while a crash may be followed by another attempt.
        output_dir: Gets `model/`, `history.json` and, for LoRA, `adapter/`.
        champion: Checked model whose weights training starts from; None: the base model's.

    Raises:
        TrainingDiverged: Loss, gradients or weights became NaN or infinite.
        DataRefused: A split is empty or cannot be learnt from.
        BaseModelError: The base model does not load.
        IntegrityError: The saved model does not give the logits of the trained one.
    """
    job = make_task(task, train_rows, validation_rows, labels, base, training)
    return run_job(job, method, device, checkpoint_dir, output_dir, champion)


def run_job(
    job: TrainingTask,
    method: MethodSpec,
    device: Device,
    checkpoint_dir: Path,
    output_dir: Path,
    champion: BaseModel | None = None,
    order: RowOrder | None = None,
) -> FineTuned:
    """`fine_tune` of a task that is made already.

    Args:
        order: Which rows each epoch meets; None: all of them, shuffled.

    Raises:
        FtcoreError: As `fine_tune`.
    """
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # a fresh head is expected, not news
    device.prepare()
    training = job.training
    # On CPUs and short rows plain attention trains 1.5 times as fast as the fused kernel (measured, MiniLM, bf16).
    model = build_model(job, method, champion, attention="eager" if device.device == "cpu" else None)
    trainable, total = num_parameters(model)

    step, damaged = checkpoints.latest_valid(checkpoint_dir)
    for bad in damaged:
        say(f"the checkpoint of step {bad} is damaged; it is set aside for an earlier one")
    history = History.load(checkpoints.path_of(checkpoint_dir, step) / HISTORY) if step else History()
    trainer = job.trainer(model, history, _arguments(training, job.num_train, device, checkpoint_dir))
    trainer.order = order
    began_at = time.monotonic()
    if step is None or not _has_ended(checkpoints.path_of(checkpoint_dir, step)):
        if step:
            say(f"going on from the checkpoint of step {step}")
        trainer.train(resume_from_checkpoint=str(checkpoints.path_of(checkpoint_dir, step)) if step else None)
    train_s = time.monotonic() - began_at

    best = min(history.validations, key=lambda validation: validation.loss)
    # accelerate wrapped the forward pass in autocast; what is saved is compared in full precision
    model = trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    _restore(model, checkpoint_dir, best.step)
    digest = _save(job, model, output_dir)
    history.save(output_dir / HISTORY)
    num_steps = len(history.loss)
    num_epochs = num_steps / math.ceil(job.num_train / training.batch_size)
    rows_seen = (num_epochs * job.num_train) * (1 - (step or 0) / num_steps)
    return FineTuned(
        digest, history, best.step, best.loss, num_steps, num_epochs, train_s, rows_seen / max(train_s, 1e-9),
        trainable, total, step,
    )  # fmt: skip


def build_model(
    job: TrainingTask, method: MethodSpec, champion: BaseModel | None = None, attention: str | None = None
) -> nn.Module:
    """The model that will be trained, in float32, the right weights frozen. Same seed, same first weights.

    Args:
        job: Its `training.seed` fixes the first values of what is new: head, adapters, classes that the champion does not know.
        method: What is trained.
        champion: Checked model to start from instead of the base.
        attention: transformers' name of the attention implementation; None: its default.

    Raises:
        BaseModelError: The weights do not load for the task, or the method does not fit the model.
    """
    set_seed(job.training.seed)
    model = job.load(champion, attention)
    return apply_method(model, method, job.training, task=job.peft_type, base_name=(champion or job.base).name)


def _arguments(training: TrainingSpec, num_rows: int, device: Device, checkpoint_dir: Path) -> dict[str, Any]:
    """What transformers' and TRL's TrainingArguments have in common."""
    steps_per_epoch = math.ceil(num_rows / training.batch_size)
    every = max(1, round(steps_per_epoch * training.eval_every))
    return {
        "output_dir": str(checkpoint_dir),
        "per_device_train_batch_size": training.batch_size,
        "per_device_eval_batch_size": max(64, training.batch_size),
        "num_train_epochs": training.epochs,
        "learning_rate": training.learning_rate,
        "lr_scheduler_type": "linear",
        "warmup_steps": math.ceil(math.ceil(training.epochs * steps_per_epoch) * training.warmup_fraction),
        "weight_decay": training.weight_decay,
        "max_grad_norm": training.max_grad_norm,
        "optim": "adamw_torch_fused",
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


def _has_ended(checkpoint: Path) -> bool:
    """True if this checkpoint is the run's last: all steps done, or patience used up."""
    state = json.loads((checkpoint / checkpoints.STATE).read_text(encoding="utf-8"))
    return bool(state["stateful_callbacks"]["TrainerControl"]["args"]["should_training_stop"])


def _restore(model: nn.Module, checkpoint_dir: Path, step: int) -> None:
    if not checkpoints.is_valid(checkpoint_dir, step):
        hint = "run the same command again: training goes on from the newest checkpoint that is whole"
        raise IntegrityError(f"The best checkpoint (step {step}) was damaged on disk during training.", hint=hint)
    load_trained_state(model, load_file(checkpoints.path_of(checkpoint_dir, step) / WEIGHTS))


def _save(job: TrainingTask, model: nn.Module, output_dir: Path) -> str:
    """Write the model folder (and adapter), load it again, compare logits on a few validation rows.

    Raises:
        IntegrityError: They differ.
    """
    model = model.float().cpu().eval()
    trained = job.logits(model)
    if hasattr(model, "merge_and_unload"):
        model.save_pretrained(output_dir / "adapter")
        shutil.rmtree(output_dir / "adapter" / "README.md", ignore_errors=True)
        model = model.merge_and_unload()
        _compare("Merging the adapter", trained, job.logits(model), MERGE_TOLERANCE)
        trained = job.logits(model)
    digest = job.save(model, output_dir / "model")
    _compare("Saving and loading", trained, job.logits(job.reload(output_dir / "model")), RELOAD_TOLERANCE)
    return digest


def _compare(what: str, wanted: torch.Tensor, seen: torch.Tensor, tolerance: float) -> None:
    difference = float((wanted - seen).abs().max() / wanted.abs().max().clamp(min=1.0))
    if not difference <= tolerance:
        raise IntegrityError(f"{what} changed the logits by {difference:.2g} (relative); wanted at most {tolerance:g}.")
