"""Fine-tune from prepared rows: build, train (or go on where a crash left off), restore the best, save, check."""

from __future__ import annotations

import functools
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import set_seed

from ftcore.errors import BaseModelError, IntegrityError, UsageError
from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.spec import MethodSpec, Task, TrainingSpec
from ftcore.store import write_durable
from ftcore.training import checkpoints, memory, preflight
from ftcore.training.averaging import load_final_weights
from ftcore.training.findings import Finding, refuse_faults
from ftcore.training.history import History, OutOfMemory
from ftcore.training.methods import (
    apply_method,
    check_method,
    continue_adapter,
    frozen,
    num_parameters,
    quantised,
    saving,
)
from ftcore.training.settings import smaller_micro_batch, steps_per_epoch, trainer_arguments
from ftcore.training.sharing import sharding_arguments
from ftcore.training.tasks import Rows, TrainingTask, make_task
from ftcore.training.trainer import HISTORY, DurableTrainer, Progress, RowOrder, say

if TYPE_CHECKING:
    from ftcore.training.recipes import Recipe

RELOAD_TOLERANCE = 1e-5
MERGE_TOLERANCE = 1e-3


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
        build = functools.partial(build_model, job, method, champion, device.attention_name)
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
    if last is None or not attempt.train():
        raise IntegrityError(
            "The last checkpoint was damaged on disk during training.", hint="run the same command again"
        )
    return attempt, list(first.findings), train_s


def checkpoint_to_go_on_from(checkpoint_dir: Path) -> int | None:
    """The newest checkpoint that is whole; None: from the beginning. Damaged ones above it are removed."""
    step, damaged = checkpoints.latest_valid(checkpoint_dir)
    for bad in damaged:
        say(f"the checkpoint of step {bad} is damaged; it is set aside for an earlier one")
    return step


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


@dataclass
class Attempt:
    """One try to train to the end, with one number of rows per forward pass."""

    job: TrainingTask
    method: MethodSpec
    device: Device
    checkpoint_dir: Path
    model: nn.Module
    history: History
    trainer: DurableTrainer
    step: int | None
    """Checkpoint to go on from."""
    micro_batch_size: int

    @classmethod
    def begin(
        cls, job: TrainingTask, method: MethodSpec, champion: BaseModel | None, device: Device, checkpoint_dir: Path,
        step: int | None, out_of_memory: Sequence[OutOfMemory] = (), *, order: RowOrder | None = None,
        on_validation: Callable[[History], None] | None = None, rows: int | None = None, quiet: bool = False,
    ) -> Attempt:  # fmt: skip
        """Model, curve so far and trainer.

        Args:
            step: Checkpoint to go on from; None: from the beginning.
            out_of_memory: What earlier attempts learnt.
            rows: Per forward pass; None: as `training` says, or fewer where memory ran out.
            See `run_job` for the others.
        """
        model = build_model(job, method, champion, device.attention_name)
        history = History.load(checkpoints.path_of(checkpoint_dir, step) / HISTORY) if step else History()
        history.out_of_memory += [item for item in out_of_memory if item not in history.out_of_memory]
        share = job.training.batch_size // device.num_processes
        micro = job.training.micro_batch_size or share
        for item in history.out_of_memory:
            micro = min(micro, smaller_micro_batch(share, item.rows, job.fewest_rows) or job.fewest_rows)
        micro = rows or micro
        arguments = trainer_arguments(job.training, job.num_train, device, checkpoint_dir, micro)
        if device.sharding == "full":
            arguments |= sharding_arguments(model)
        trainer = job.trainer(model, history, arguments)
        if device.sharding == "full" and not trainer.is_fsdp_enabled:
            seen = f"compute.sharding: full has no effect on {device.device}: accelerate did not cut the model up."
            raise UsageError(seen, hint="--set compute.sharding=none")
        trainer.order, trainer.on_validation = order, on_validation
        if quiet:
            trainer.remove_callback(Progress)
        return cls(job, method, device, checkpoint_dir, model, history, trainer, step, micro)

    def check(self) -> list[Finding]:
        """The checks before training, told line by line.

        Raises:
            DataRefused, BaseModelError, UsageError: There are faults.
        """
        findings = preflight.check(self.job, self.trainer, self.device, self.micro_batch_size)
        for finding in findings:
            hint = f" ({finding.hint})" if finding.hint else ""
            say(f"check {finding.check}: {finding.verdict}, {finding.message}{hint}")
        refuse_faults(findings)
        return findings

    def train(self) -> bool:
        """Train to the end; False if memory ran out, which the history then tells.

        Raises:
            UsageError: It ran out at as few rows per forward pass as the loss can be taken over (one, for most).
        """
        if self.step is not None and _has_ended(checkpoints.path_of(self.checkpoint_dir, self.step)):
            return True
        if self.step:
            say(f"going on from the checkpoint of step {self.step}")
        if rank := self.trainer.args.process_index:
            torch.manual_seed(self.job.training.seed + rank)  # dropout of its own; the first is as if it were alone
        if self.device.precision == "bf16" and self.device.sharding == "none":
            frozen.narrow(self.model, self.method)
        try:
            self.trainer.train(
                resume_from_checkpoint=str(checkpoints.path_of(self.checkpoint_dir, self.step)) if self.step else None
            )
        except (RuntimeError, MemoryError) as error:
            if not memory.is_out_of_memory(error):
                raise
            at, rows = self.trainer.state.global_step + 1, self.micro_batch_size
        else:
            return True
        share = self.job.training.batch_size // self.device.num_processes
        smaller = smaller_micro_batch(share, rows, self.job.fewest_rows)
        if smaller is None:
            count = "one row" if rows == 1 else f"{rows} rows"
            raise UsageError(
                f"Memory ran out at step {at} with {count} per forward pass; wanted room for a row of "
                f"up to {self.job.training.max_length} tokens.",
                hint=preflight.memory_hint(self.job),
            )
        self.history.out_of_memory.append(OutOfMemory(at, rows))
        say(f"memory ran out at step {at} with {rows} rows per forward pass; again with {smaller}, same rows per step")
        return False


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
        SpecError: PEFT does not know fields of `method.peft`.
        BaseModelError: The weights do not load for the task, or the method does not fit the model.
    """
    check_method(method, job.peft_type)
    set_seed(job.training.seed)
    if method.name == "qlora":
        job.loading = quantised.loading()
    model, name = job.load(champion, attention), (champion or job.base).name
    if job.training.gradient_checkpointing:
        if not model.supports_gradient_checkpointing:
            hint = "--set training.gradient_checkpointing=false"
            raise BaseModelError(f"{name} ({type(model).__name__}) knows no gradient checkpointing.", hint=hint)
        model.activation_checkpointing_enable()  # Trainer does so as well, but only after the checks have measured
    trained = apply_method(model, method, job.training, task=job.peft_type, base_name=name)
    if champion is not None:
        continue_adapter(trained, champion)
    return trained


def _has_ended(checkpoint: Path) -> bool:
    """True if this checkpoint is the run's last: all steps done, or patience used up."""
    state = json.loads((checkpoint / checkpoints.STATE).read_text(encoding="utf-8"))
    return bool(state["stateful_callbacks"]["TrainerControl"]["args"]["should_training_stop"])


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
