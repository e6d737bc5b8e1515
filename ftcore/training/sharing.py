"""One training on several processes: every optimiser step meets the rows that one process would have met, each of them once.

transformers and accelerate deal out whole batches and fill up the last step with rows of the first, which then count twice. Here
a step is cut into the very passes that one process would make, which are dealt out in turn; who has none left in the last step
gets a spare pass, a row whose loss counts nothing, so that all processes call each other as often.
"""

from __future__ import annotations

import math
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils.data import DataLoader, Sampler, SequentialSampler

from ftcore.training.lean import Trainer
from ftcore.training.methods import trained_state

OPTIMIZER, SCHEDULER = "optimizer.pt", "scheduler.pt"


def on_one_device(args: Any) -> None:
    """A process trains on one device. transformers' own way to use all that it sees, nn.DataParallel, makes batches larger than
    the spec says and losses means of means; `compute.processes` is the way here.

    Args:
        args: transformers' TrainingArguments; changed.
    """
    _ = args.device  # which counts the devices
    if args.world_size == 1 and args.n_gpu > 1:
        args._n_gpu = 1


class StepBatches(Sampler[list[int]]):  # type: ignore[misc]
    """Rows of each forward pass: pass by pass, and within a pass process by process, as accelerate's BatchSamplerShard deals out.

    Args:
        order: Row numbers of an epoch, in the order of one process.
        num_rows: Of an epoch.
        rows: Per forward pass.
        rows_per_step: Of all processes; a multiple of `rows` times `num_processes`.
        num_processes: Of all nodes.
    """

    def __init__(self, order: Sampler[int], num_rows: int, rows: int, rows_per_step: int, num_processes: int) -> None:
        self.order, self.num_rows, self.rows = order, num_rows, rows
        self.rows_per_step, self.num_processes = rows_per_step, num_processes

    def set_epoch(self, epoch: int) -> None:
        """Of the order, if it has such."""
        if hasattr(self.order, "set_epoch"):
            self.order.set_epoch(epoch)

    def passes(self, step: int) -> int:
        """Forward passes with rows of their own in a step, of all processes.

        Args:
            step: Optimiser steps before it, of this epoch or of the whole run.
        """
        step %= math.ceil(self.num_rows / self.rows_per_step)
        return math.ceil(min(self.rows_per_step, self.num_rows - step * self.rows_per_step) / self.rows)

    def __len__(self) -> int:
        steps = range(math.ceil(self.num_rows / self.rows_per_step))
        return sum(math.ceil(self.passes(step) / self.num_processes) * self.num_processes for step in steps)

    def __iter__(self) -> Iterator[list[int]]:
        order = list(self.order)
        for start in range(0, len(order), self.rows_per_step):
            step = order[start : start + self.rows_per_step]
            cut = [step[at : at + self.rows] for at in range(0, len(step), self.rows)]
            yield from cut
            yield from [step[:1]] * (-len(cut) % self.num_processes)


class SharedTrainer(Trainer):  # type: ignore[misc]
    """transformers' Trainer whose steps may be shared by several processes. With one process it is the parent.

    Histories, decisions and checkpoints are those of one process; only rank 0 writes.
    """

    _batches: StepBatches | None = None
    _has_rows: deque[bool] = deque()
    """Of the passes of the current step: False for a spare one."""
    _passes: float = 1.0
    """Of the current step, per process, spare ones left out."""
    _means_of_batch = False

    @property
    def rows_per_step(self) -> int:
        """Of all processes."""
        args = self.args
        return int(args.train_batch_size * args.gradient_accumulation_steps * args.world_size)

    def get_train_dataloader(self) -> DataLoader:
        if self.args.world_size == 1:
            return super().get_train_dataloader()
        order, rows = self._get_train_sampler(), self.train_dataset
        self._batches = StepBatches(
            order, len(rows), self.args.train_batch_size, self.rows_per_step, self.args.world_size
        )
        return self._dealt_out(rows, self._batches)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        if self.args.world_size == 1:
            return super().get_eval_dataloader(eval_dataset)
        rows, size, everybody = eval_dataset or self.eval_dataset, self.args.eval_batch_size, self.args.world_size
        return self._dealt_out(rows, StepBatches(SequentialSampler(rows), len(rows), size, size * everybody, everybody))

    def _dealt_out(self, rows: Any, batches: StepBatches) -> DataLoader:
        pinned = self.args.dataloader_pin_memory
        return self.accelerator.prepare(
            DataLoader(rows, batch_sampler=batches, collate_fn=self.data_collator, pin_memory=pinned)
        )

    def _run_epoch(self, **named: Any) -> None:
        if self._batches is not None:  # accelerate does not reach it when it skips the first batches of a resumed epoch
            self._batches.set_epoch(named["epoch"])
        super()._run_epoch(**named)

    def get_batch_samples(self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device) -> Any:
        """A step's batches of this process, and what the step's loss is the mean of, over all processes."""
        if self._batches is None:
            return super().get_batch_samples(epoch_iterator, num_batches, device)
        batches = [next(epoch_iterator) for _ in range(num_batches)]
        rank, everybody = self.args.process_index, self.args.world_size
        passes = self._batches.passes(self.state.global_step)
        self._has_rows = deque(rank + everybody * at < passes for at in range(num_batches))
        self._passes = passes / everybody
        if self._get_num_items_in_batch(batches, device) is None:
            return batches, None
        own = [batch for batch, has_rows in zip(batches, self._has_rows, strict=True) if has_rows]
        return batches, self.summed([float(self._get_num_items_in_batch(own, device) or 0)])[0]

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Any:
        """The parent's, of this process alone: `get_batch_samples` adds up, and the checks want their own."""
        if self._means_of_batch:
            return None
        whole, self.args.average_tokens_across_devices = self.args.average_tokens_across_devices, False
        try:
            return super()._get_num_items_in_batch(batch_samples, device)
        finally:
            self.args.average_tokens_across_devices = whole

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        if self._batches is not None:
            # Losses that are means of their pass are divided by this; gradients of all processes are averaged.
            self.current_gradient_accumulation_steps = self._passes
            if not self._has_rows.popleft():
                self.current_gradient_accumulation_steps = math.inf
                num_items_in_batch = (
                    None if num_items_in_batch is None else torch.full_like(num_items_in_batch, math.inf)
                )
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        return loss

    def prediction_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        self._means_of_batch = (
            self.args.world_size > 1
        )  # with a count, losses would be scaled to be averaged over processes
        try:
            return super().prediction_step(model, inputs, *args, **kwargs)
        finally:
            self._means_of_batch = False

    def is_spare(self, at: int) -> bool:
        """True if the validation batch of this number has no rows that are this process's to count."""
        passes = math.ceil(len(self.eval_dataset) / self.args.eval_batch_size)
        return bool(self.args.process_index + self.args.world_size * at >= passes)

    def summed(self, values: Sequence[float]) -> torch.Tensor:
        """Each added up over all processes, float64, on the device."""
        own = torch.tensor(values, dtype=torch.float64, device=self.args.device)
        total: torch.Tensor = self.accelerator.reduce(own, "sum")
        return total

    def random_states(self) -> dict[str, bytes]:
        """State of the random number generators of every process, by the file name that the parent looks for."""
        with tempfile.TemporaryDirectory() as place:
            self._save_rng_state(place)
            own = [(path.name, path.read_bytes()) for path in Path(place).iterdir()]
        return dict(gather_object(own) if self.args.world_size > 1 else own)

    def cut_up_again(self) -> None:
        """Give back the weights that a forward pass has put together and the next one would use; no parameter is whole then."""
        for module in self.model.modules():
            if isinstance(module, FSDPModule):
                module.reshard()

    def whole_state(self) -> dict[str, torch.Tensor]:
        """`trained_state` of the whole model, however it is sharded; every process must ask."""
        self.cut_up_again()
        return {name: whole(tensor) for name, tensor in trained_state(self.model).items()}

    def optimizer_state(self) -> dict[str, Any]:
        """Of the whole model, however it is sharded; every process must ask."""
        return {
            name: {number: {key: whole(item) for key, item in state.items()} for number, state in part.items()}
            if name == "state"
            else part
            for name, part in self.optimizer.state_dict().items()
        }

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None or not self.is_fsdp_enabled:
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        folder = Path(checkpoint)
        saved = torch.load(folder / OPTIMIZER, map_location="cpu", weights_only=True)
        parameters = [item for group in self.optimizer.param_groups for item in group["params"]]
        for number, state in saved["state"].items():
            saved["state"][number] = {
                key: sharded_like(parameters[number], item) if item.dim() else item for key, item in state.items()
            }
        self.optimizer.load_state_dict(saved)
        self.lr_scheduler.load_state_dict(torch.load(folder / SCHEDULER, weights_only=True))


def whole(item: Any) -> Any:
    """A tensor of which each process holds a part, put together in main memory; anything else as it is."""
    return item.full_tensor().cpu() if isinstance(item, DTensor) else item


def sharded_like(parameter: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """A whole tensor cut up as a parameter is; as it is, if that is whole too."""
    if not isinstance(parameter, DTensor):
        return tensor
    local = parameter.to_local()
    placed = tensor.to(device=local.device, dtype=local.dtype)
    return distribute_tensor(placed, parameter.device_mesh, parameter.placements)


def sharding_arguments(model: Any) -> dict[str, Any]:
    """transformers' settings to cut a model up layer by layer (FSDP2).

    A class that holds the input embeddings (BertEmbeddings) is no layer here: accelerate cuts the embeddings up by themselves,
    and torch does not do so twice.
    """
    embeddings = model.get_input_embeddings()
    holders = {type(item).__name__ for item in model.modules() if any(part is embeddings for part in item.modules())}
    present = {type(item).__name__ for item in model.modules()}
    layers = sorted((set(getattr(model, "_no_split_modules", None) or ()) & present) - holders)
    policy = {"transformer_layer_cls_to_wrap": layers} if layers else {"auto_wrap_policy": "NO_WRAP"}
    return {"fsdp": True, "fsdp_config": {"version": 2, **policy}}
