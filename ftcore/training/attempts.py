"""One attempt to train: the model as it is at first, a trainer around it, to the end or until memory is full."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import set_seed

from ftcore.errors import BaseModelError, UsageError
from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.spec import MethodSpec
from ftcore.training import checkpoints, memory, preflight
from ftcore.training.findings import Finding, refuse_faults
from ftcore.training.history import History, OutOfMemory
from ftcore.training.methods import apply_method, check_method, continue_adapter, frozen, quantised
from ftcore.training.settings import smaller_micro_batch, trainer_arguments
from ftcore.training.sharing import sharding_arguments
from ftcore.training.tasks import TrainingTask
from ftcore.training.trainer import HISTORY, DurableTrainer, Progress, RowOrder, say


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
        if device.device == "cpu" and job.training.gradient_checkpointing:
            memory.give_back_at_once()
        model = build_model(job, method, champion, device.attention_name)
        history = History.load(checkpoints.path_of(checkpoint_dir, step) / HISTORY) if step else History()
        history.out_of_memory += [item for item in out_of_memory if item not in history.out_of_memory]
        share = job.training.batch_size // device.num_processes
        micro = job.training.micro_batch_size or share
        for item in history.out_of_memory:
            micro = min(micro, smaller_micro_batch(share, item.rows, job.fewest_rows) or job.fewest_rows)
        micro = rows or micro
        arguments = trainer_arguments(job.training, job.num_train, device, checkpoint_dir, micro, job.eval_rows)
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
        if self.step is not None and has_ended(checkpoints.path_of(self.checkpoint_dir, self.step)):
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


def has_ended(checkpoint: Path) -> bool:
    """True if this checkpoint is the run's last: all steps done, or patience used up."""
    state = json.loads((checkpoint / checkpoints.STATE).read_text(encoding="utf-8"))
    return bool(state["stateful_callbacks"]["TrainerControl"]["args"]["should_training_stop"])


def checkpoint_to_go_on_from(checkpoint_dir: Path) -> int | None:
    """The newest checkpoint that is whole; None: from the beginning. Damaged ones above it are removed."""
    step, damaged = checkpoints.latest_valid(checkpoint_dir)
    for bad in damaged:
        say(f"the checkpoint of step {bad} is damaged; it is set aside for an earlier one")
    return step
