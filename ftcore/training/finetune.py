"""Fine-tune from prepared rows: build, train (or go on where a crash left off), restore the best, save, check."""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ftcore.errors import IntegrityError
from ftcore.models.adapters import plain_model
from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.spec import MethodSpec, Task, TrainingSpec
from ftcore.store import write_durable
from ftcore.training import checkpoints, memory, preflight
from ftcore.training.attempts import Attempt, build_model, checkpoint_to_go_on_from, has_ended
from ftcore.training.averaging import load_final_weights
from ftcore.training.findings import Finding
from ftcore.training.history import History
from ftcore.training.methods import frozen, num_parameters, quantised, saving
from ftcore.training.settings import steps_per_epoch
from ftcore.training.tasks import Rows, TrainingTask, make_task
from ftcore.training.trainer import HISTORY, RowOrder

if TYPE_CHECKING:
    from ftcore.training.recipes import Recipe

RELOAD_TOLERANCE = 1e-5
MERGE_TOLERANCE = 1e-4
"""Merged weights give the same sums in another order, whose rounding grows with depth: small models agree to 1e-5 (the tests hold
them to it); a merge that goes wrong is off by far more than this."""


@dataclass(frozen=True)
class FineTuned:
    """What one run gave, besides the files it wrote."""

    model_digest: str
    """Empty where no model was asked for."""
    history: History
    best_step: int
    """The checkpoint that the weights are of; of a mean, the best or last one in it."""
    best_validation_loss: float
    """Of the weights that were kept."""
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
    micro_batch_size: int
    """Rows per forward pass, after what running out of memory made of them."""
    averaged_steps: tuple[int, ...]
    """Checkpoints whose mean the weights are; empty: those of `best_step` alone."""
    findings: tuple[Finding, ...]
    """Of the checks before training."""


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
    output_dir: Path | None,
    champion: BaseModel | None = None,
    on_validation: Callable[[History], None] | None = None,
) -> FineTuned:
    """Check, train, keep the weights of the lowest validation loss (or what `training.final_weights` says), and save them.

    If a pass runs out of memory, training goes on from the last checkpoint with half the rows per pass and as many per step.

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
        output_dir: Gets `model/`, `history.json`, `preflight.json` and, for LoRA, `adapter/`; None: only figures are wanted,
            and no progress.
        champion: Checked model whose weights training starts from; None: the base model's.
        on_validation: Called after each validation; what it raises ends training and passes through.

    Raises:
        TrainingDiverged: Loss, gradients or weights became NaN or infinite.
        DataRefused: A split is empty or cannot be learnt from.
        BaseModelError: The base model does not load, or the method or its tokenizer does not fit it.
        SpecError: PEFT does not know fields of `method.peft`.
        UsageError: The model does not fit into memory, a setting does not fit the model, or `qlora` without a CUDA device or
            without bitsandbytes.
        IntegrityError: The saved model does not give the logits of the trained one.
    """
    job = make_task(task, train_rows, validation_rows, labels, base, training)
    return run_job(job, method, device, checkpoint_dir, output_dir, champion, on_validation=on_validation)


def run_job(
    job: TrainingTask,
    method: MethodSpec,
    device: Device,
    checkpoint_dir: Path,
    output_dir: Path | None,
    champion: BaseModel | None = None,
    order: RowOrder | None = None,
    on_validation: Callable[[History], None] | None = None,
    *,
    quiet: bool = False,
) -> FineTuned:
    """`fine_tune` of a task that is made already.

    Args:
        order: Which rows each epoch meets; None: all of them, shuffled.
        on_validation: Not for several processes.
        quiet: No progress, also where there is an `output_dir`.
        See `fine_tune` for the others.

    Raises:
        FtcoreError: As `fine_tune`.
    """
    device.prepare()
    if method.name == "qlora":
        device.require_4bit()
    preflight.require_room_for_weights(champion or job.base, device)
    quiet = quiet or output_dir is None
    step = checkpoint_to_go_on_from(checkpoint_dir)
    if device.num_processes > 1:
        from ftcore.training.recipes import Recipe

        recipe = Recipe(job, method, device, checkpoint_dir, champion, order, step, quiet=quiet)
        attempt, findings, train_s = _train_together(recipe)
        device = attempt.device
    else:
        attempt, findings, train_s = _train_alone(
            job, method, device, checkpoint_dir, champion, order, step, on_validation, quiet
        )
    resumed_from = step

    history, trainer = attempt.history, attempt.trainer
    trainable, total = num_parameters(attempt.model)
    steps, loss = load_final_weights(trainer, job.training, checkpoint_dir)
    digest = ""
    if output_dir is not None:
        # accelerate wrapped the forward pass in autocast; what is saved is compared in full precision
        model = trainer.accelerator.unwrap_model(attempt.model, keep_fp32_wrapper=False)
        build = functools.partial(build_model, job, method, champion)
        frozen.widen(model, build)
        digest = _save(job, model, output_dir, build)
        history.save(output_dir / HISTORY)
        write_durable(output_dir / preflight.PREFLIGHT, preflight.to_json(findings))
    num_steps = len(history.loss)
    num_epochs = num_steps / steps_per_epoch(job.training, job.num_train)
    rows_seen = (num_epochs * job.num_train) * (1 - (resumed_from or 0) / num_steps)
    return FineTuned(
        digest, history, history.steps_to_keep(job.training.final_weights, 1)[0], loss, num_steps, num_epochs, train_s,
        rows_seen / max(train_s, 1e-9), trainable, total, resumed_from, attempt.micro_batch_size,
        tuple(steps) if len(steps) > 1 else (), tuple(findings),
    )  # fmt: skip


def _train_alone(
    job: TrainingTask, method: MethodSpec, device: Device, checkpoint_dir: Path, champion: BaseModel | None,
    order: RowOrder | None, step: int | None, on_validation: Callable[[History], None] | None, quiet: bool,
) -> tuple[Attempt, list[Finding], float]:  # fmt: skip
    """Attempt, with ever fewer rows per forward pass where memory runs out; its findings, and its seconds."""
    begin = functools.partial(
        Attempt.begin, job, method, champion, device, checkpoint_dir,
        order=order, on_validation=on_validation, quiet=quiet,
    )  # fmt: skip
    attempt = begin(step)
    findings = attempt.check()
    began_at = time.monotonic()
    while not attempt.train():
        out_of_memory = attempt.history.out_of_memory
        del attempt  # its model and trainer are what fills the memory
        memory.give_back()
        attempt = begin(checkpoint_to_go_on_from(checkpoint_dir), out_of_memory)
    return attempt, findings, time.monotonic() - began_at


def _train_together(recipe: Recipe) -> tuple[Attempt, list[Finding], float]:
    """The same on several processes, which leave checkpoints; the attempt is one of this process that stands at the last of them.

    What is cut up among devices while it trains may not fit on one of them; it is finished on the CPU.
    """
    from ftcore.training.launch import launch

    first = outcome = launch(recipe)
    train_s = outcome.train_s
    while not outcome.done:
        out_of_memory, step = outcome.out_of_memory, checkpoint_to_go_on_from(recipe.checkpoint_dir)
        outcome = launch(replace(recipe, out_of_memory=out_of_memory, step=step))
        train_s += outcome.train_s
    device = recipe.device.alone()
    if recipe.device.sharding == "full":
        device = replace(device, device="cpu", precision="fp32")
    last = checkpoint_to_go_on_from(recipe.checkpoint_dir)
    attempt = Attempt.begin(
        recipe.job, recipe.method, recipe.champion, device, recipe.checkpoint_dir, last,
        rows=outcome.micro_batch_size, quiet=recipe.quiet,
    )  # fmt: skip
    if last is None or not has_ended(checkpoints.path_of(recipe.checkpoint_dir, last)):
        raise IntegrityError(
            "The last checkpoint was damaged on disk during training.", hint="run the same command again"
        )
    return attempt, list(first.findings), train_s


def check_before_training(
    train_rows: Rows,
    validation_rows: Rows,
    labels: tuple[str, ...] = (),
    *,
    task: Task,
    base: BaseModel,
    method: MethodSpec,
    training: TrainingSpec,
    device: Device,
    champion: BaseModel | None = None,
) -> list[Finding]:
    """The checks of `fine_tune` alone, with its arguments; faults are among the findings.

    Raises:
        DataRefused, BaseModelError, UsageError: Rows or model cannot be loaded at all.
    """
    device.prepare()
    job = make_task(task, train_rows, validation_rows, labels, base, training)
    preflight.require_room_for_weights(champion or base, device)
    with tempfile.TemporaryDirectory() as nowhere:
        here = replace(device, sharding="none")  # which only processes that are there can do
        attempt = Attempt.begin(job, method, champion, here, Path(nowhere), None)
        return preflight.check(job, attempt.trainer, device, attempt.micro_batch_size)


def _save(job: TrainingTask, model: Any, output_dir: Path, build: Callable[[], Any]) -> str:
    """Write the model folder (and adapter), load it again, compare logits on a few validation rows.

    Args:
        build: Makes the model anew as it was before training.

    Raises:
        IntegrityError: They differ.
    """
    if getattr(model, "is_loaded_in_4bit", False):
        model = quantised.dequantised(model)
    model = model.float().cpu().eval()
    plain = plain_model(model)
    # compared with the kernel that it will be loaded with: others differ by rounding, which large weights magnify, or need a GPU
    if plain._supports_sdpa:
        plain.set_attn_implementation("sdpa")
    trained = job.logits(model)
    if saving.is_mergeable(model):
        _save_adapter(job, model, trained, output_dir / "adapter", build)
        model = saving.merged(model)
        _compare("Merging the adapter", trained, job.logits(model), MERGE_TOLERANCE)
        trained = job.logits(model)
    digest = job.save(model, output_dir / "model")
    _compare("Saving and loading", trained, job.logits(job.reload(output_dir / "model")), RELOAD_TOLERANCE)
    return digest


def _save_adapter(job: TrainingTask, model: Any, trained: torch.Tensor, folder: Path, build: Callable[[], Any]) -> None:
    """Write the adapter so that it fits the untouched base model."""
    if not saving.changes_base(model):
        saving.save_adapter(model, folder)
        return
    first = build().float().cpu()
    if saving.save_difference(model, first, folder):
        again = saving.put_on(saving.untouched(first), folder)
        _compare("Rewriting the adapter for untouched base weights", trained, job.logits(again), MERGE_TOLERANCE)


def _compare(what: str, wanted: torch.Tensor, seen: torch.Tensor, tolerance: float) -> None:
    difference = float((wanted - seen).abs().max() / wanted.abs().max().clamp(min=1.0))
    if not difference <= tolerance:
        raise IntegrityError(f"{what} changed the logits by {difference:.2g} (relative); wanted at most {tolerance:g}.")
