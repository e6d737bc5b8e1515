"""Which attention kernel, number format, threads and optimizer kernel are the fastest here: measured before a long training.

Timings vary from one minute to the next, and with another kernel the last digits of a result change. So a choice is made once for
a machine, model and batch size, kept under FTCORE_HOME, and used again from there.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
import platform
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.utils import is_flash_attn_2_available

from ftcore.models.adapters import plain_model
from ftcore.models.base import BaseModel
from ftcore.models.devices import Device, Precision
from ftcore.models.hardware import cpu_model
from ftcore.records import canonical_json, digest_of
from ftcore.spec import ComputeSpec, MethodSpec
from ftcore.store import write_durable
from ftcore.training import memory
from ftcore.training.attempts import build_model
from ftcore.training.history import History
from ftcore.training.settings import num_steps, trainer_arguments
from ftcore.training.tasks import TrainingTask
from ftcore.training.trainer import say

MIN_STEPS = 400
"""Shorter trainings are not measured: what could be gained is less than what measuring costs."""
MARGIN = 1.1
"""How many times as fast as the rule of thumb another way has to be."""
BUSY = 0.75
"""Of the processors: with so many at work for others, timings would say more about those than about the ways."""
BUDGET_S = 30.0
"""No further way is tried after it."""
_TIMED = 2
_CHOSEN = ("attention", "precision", "threads", "fused")


@dataclass(frozen=True)
class Probe:
    """What may be chosen, and where choices are kept."""

    compute: ComputeSpec
    """Only what is `auto` (or 0 threads) here is measured."""
    folder: Path
    """Kept from one training to the next."""

    def fastest(
        self, job: TrainingTask, method: MethodSpec, device: Device, champion: BaseModel | None, checkpoint_dir: Path
    ) -> Device:
        """The device with what proved fastest, or as it is: where training is short or shared, the machine busy, or
        `compute.probe` false.

        Args:
            job, method, champion: As for `run_job`.
            device: From `choose`: the rules of thumb.
            checkpoint_dir: Gets what was chosen for this training, which goes on with it after a crash.

        Raises:
            FtcoreError: The model cannot be built; see `run_job`.
        """
        steps = num_steps(job.training, job.num_train)
        if not self.compute.probe or steps < MIN_STEPS or method.name == "qlora" or device.num_processes > 1:
            return device
        own = checkpoint_dir / "probe.json"
        path = self.folder / f"{digest_of(_situation(self.compute, job, method, device, champion))}.json"
        known = _read(own) or _read(path)
        if known is None and _is_busy():
            say(f"probe: left out, the machine is busy (load {os.getloadavg()[0]:.1f}); {device.summary()}")
            known = {name: getattr(device, name) for name in _CHOSEN}
        elif known is None:
            known = self._measure(job, method, device, champion)
            write_durable(path, canonical_json(known))
        write_durable(own, canonical_json(known))
        return dataclasses.replace(device, **{name: known[name] for name in _CHOSEN})

    def _measure(
        self, job: TrainingTask, method: MethodSpec, device: Device, champion: BaseModel | None
    ) -> dict[str, Any]:
        began, rule = time.monotonic(), dataclasses.replace(device, attention=device.attention_name)
        rule.prepare()
        with tempfile.TemporaryDirectory() as nowhere, torch.random.fork_rng():
            bench = _Bench(job, method, device, champion, Path(nowhere))
            chosen = rule
            for candidates in (_kernels, _threads, _optimizers):
                chosen = bench.fastest(list(candidates(chosen, self.compute)))
            ways = len(bench.seconds)
            rates = {name: round(bench.rows_per_s(way), 1) for name, way in (("before", rule), ("now", chosen))}
        del bench
        memory.give_back()
        device.prepare()
        say(
            f"probe: {ways} ways measured in {time.monotonic() - began:.1f} s; {chosen.summary()}: "
            f"{rates['now']:.0f} rows/s (rule of thumb: {rates['before']:.0f})"
        )
        return {**{name: getattr(chosen, name) for name in _CHOSEN}, "rows_per_s": rates}


class _Bench:
    """Training steps on a model that is thrown away afterwards.

    Args:
        See `Probe.fastest`.
        folder: For the trainer's files, of which there will be none.
    """

    def __init__(
        self, job: TrainingTask, method: MethodSpec, device: Device, champion: BaseModel | None, folder: Path
    ) -> None:
        rows = job.training.micro_batch_size or job.training.batch_size
        self.model: Any = build_model(job, method, champion, device.attention_name)
        self.plain = plain_model(self.model)
        arguments = trainer_arguments(job.training, job.num_train, device, folder, rows, job.eval_rows)
        self.trainer = job.trainer(self.model, History(), arguments)
        lengths = self.trainer.lengths(self.trainer.train_dataset)
        by_length = sorted(range(len(lengths)), key=lambda row: lengths[row])
        end = max(rows, 2 * len(by_length) // 3)
        self.rows = [self.trainer.train_dataset[row] for row in by_length[end - rows : end]]
        """Somewhat longer than most."""
        self.seconds: dict[Device, float] = {}
        self.until = time.perf_counter() + BUDGET_S

    def rows_per_s(self, way: Device) -> float:
        """Of a way that has been measured."""
        return len(self.rows) / self.seconds[way]

    def fastest(self, ways: Sequence[Device]) -> Device:
        """The first, unless another one is faster by more than the margin. The first must work, the others need not."""
        self._step(ways[0])  # to warm up
        able = [ways[0], *(way for way in ways[1:] if self._works(way))]
        for _, way in itertools.product(range(_TIMED), able):
            if way not in self.seconds or time.perf_counter() < self.until:
                began = time.perf_counter()
                self._step(way)
                self.seconds[way] = min(self.seconds.get(way, math.inf), time.perf_counter() - began)
        best = min(able, key=lambda way: self.seconds[way])
        return best if self.seconds[best] * MARGIN < self.seconds[ways[0]] else ways[0]

    def _works(self, way: Device) -> bool:
        if time.perf_counter() > self.until:
            return False
        try:
            self._step(way)
        except (ImportError, ValueError, RuntimeError):  # the model has no such kernel, or it does not fit into memory
            return False
        return True

    def _step(self, way: Device) -> None:
        """The rows forward, back and into the weights, which a rate of zero leaves as they are."""
        way.prepare()
        if way.attention_name:
            self.plain.set_attn_implementation(way.attention_name)
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=0.0, fused=way.fused, foreach=not way.fused)
        with way.autocast():
            loss = self.trainer.loss_of(self.rows)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if way.device == "cuda":
            torch.cuda.synchronize()


def _kernels(device: Device, compute: ComputeSpec) -> Iterator[Device]:
    """Attention by number format. Other formats are tried on CPUs alone: GPUs that know bfloat16 are always faster with it."""
    names = [device.attention_name]
    if compute.attention == "auto":
        names += ["sdpa"] if device.device == "cpu" else ["eager"]
        if device.device == "cuda" and device.precision == "bf16" and is_flash_attn_2_available():
            names.append("flash_attention_2")
    formats: list[Precision] = [device.precision]
    if compute.precision == "auto" and device.device == "cpu" and device.precision == "bf16":
        formats.append("fp32")
    for precision, name in itertools.product(formats, names):
        yield dataclasses.replace(device, attention=name, precision=precision)


def _threads(device: Device, compute: ComputeSpec) -> Iterator[Device]:
    """All processors, then half as many, down to an eighth: small models are slowed down by sharing the work."""
    yield device
    if device.device == "cpu" and compute.threads == 0:
        counts = sorted({max(1, device.threads // share) for share in (2, 4, 8)} - {device.threads}, reverse=True)
        for count in counts:
            yield dataclasses.replace(device, threads=count)


def _optimizers(device: Device, compute: ComputeSpec) -> Iterator[Device]:
    """AdamW in one kernel for all weights, or operation by operation."""
    yield device
    yield dataclasses.replace(device, fused=not device.fused)


def _is_busy() -> bool:
    """Whether others are at work on this machine, as far as the system tells."""
    return os.getloadavg()[0] > BUSY * (os.cpu_count() or 1)


def _situation(
    compute: ComputeSpec, job: TrainingTask, method: MethodSpec, device: Device, champion: BaseModel | None
) -> dict[str, Any]:
    """Everything that the fastest way depends on."""
    training = job.training
    return {
        "machine": [platform.machine(), cpu_model(), torch.cuda.get_device_name() if device.device == "cuda" else ""],
        "versions": [torch.__version__, transformers.__version__],
        "model": [type(job).__name__, (champion or job.base).digest],
        "method": method.model_dump(mode="json"),
        "batch": [training.batch_size, training.micro_batch_size, training.max_length, training.packing],
        "checkpointing": training.gradient_checkpointing,
        "compute": compute.model_dump(mode="json"),
        "device": dataclasses.asdict(device),
    }


def _read(path: Path) -> dict[str, Any] | None:
    """An earlier choice; None: there is none that can be read."""
    try:
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return known if set(_CHOSEN) <= known.keys() else None
    except (OSError, ValueError):
        return None
