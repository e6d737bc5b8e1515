"""Which device, which number format, how many threads: from what the machine has, unless the spec says otherwise."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from ftcore.errors import UsageError, num_of
from ftcore.models.hardware import BF16_CPU_FLAGS, cpu_flags
from ftcore.spec import ComputeSpec

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Device:
    """Where numbers are crunched. Weights stay float32; `bf16` means autocast around the forward pass."""

    device: Literal["cpu", "cuda"]
    precision: Precision
    threads: int
    """CPU threads of one operation."""
    attention: str | None = None
    """Kernel of attention, by transformers' name; None: as `attention_name` says."""
    fused: bool = True
    """AdamW as one kernel over all weights."""
    processes: int = 1
    """That train together on each machine."""
    nodes: int = 1
    """Machines that train together."""
    sharding: Literal["none", "full"] = "none"
    """Whether the processes that train cut up the model among them."""

    @property
    def attention_name(self) -> str | None:
        """Kernel of attention; None: transformers' choice. On CPUs and short rows the plain one trains up to 1.5 times as fast as
        the fused one (measured on MiniLM, bf16); `ftcore.training.probe` measures it anew before long trainings."""
        return self.attention or ("eager" if self.device == "cpu" else None)

    def summary(self) -> str:
        """For people: `cpu bf16, eager attention, 2 threads, fused AdamW`."""
        optimizer = "fused AdamW" if self.fused else "AdamW"
        attention = f"{self.attention_name} attention" if self.attention_name else "attention by default"
        together = f", {self.num_processes} processes" if self.num_processes > 1 else ""
        together += ", sharded" if self.sharding == "full" else ""
        return f"{self.device} {self.precision}, {attention}, {num_of(self.threads, 'thread')}, {optimizer}{together}"

    @property
    def num_processes(self) -> int:
        """That train together, on all machines."""
        return self.processes * self.nodes

    def alone(self) -> Device:
        """The same for one process."""
        return replace(self, processes=1, nodes=1, sharding="none")

    def prepare(self) -> None:
        """Apply the process-wide settings; denormal numbers count as zero, because they slow CPUs down."""
        torch.set_num_threads(self.threads)
        torch.set_flush_denormal(True)

    def require_4bit(self) -> None:
        """Refuse early what would fail after a download.

        Raises:
            UsageError: Weights in 4 bits need a CUDA device and the package bitsandbytes.
        """
        if self.device != "cuda":
            seen = f"method qlora keeps the base model in 4 bits on a CUDA device; this run is on {self.device}."
            raise UsageError(seen, hint="--set method.name=lora")
        if importlib.util.find_spec("bitsandbytes") is None:
            raise UsageError(
                "method qlora needs bitsandbytes, which is not installed.", hint="pip install 'ftcore[qlora]'"
            )

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Context for a forward pass in the chosen precision."""
        if self.precision == "fp32":
            return contextlib.nullcontext()
        context: contextlib.AbstractContextManager[Any] = torch.autocast(self.device, dtype=torch.bfloat16)
        return context


def choose(compute: ComputeSpec) -> Device:
    """The device for this machine and spec.

    `auto` takes CUDA where there is one, and bf16 where the hardware computes in it (CUDA capability 8 and later; CPUs
    with AMX-BF16 or AVX512-BF16), else fp32.

    Raises:
        UsageError: The spec asks for CUDA and there is none, for more processes than there are devices, or for a model that is
            cut up among CPU processes.
    """
    has_cuda = torch.cuda.is_available()
    if compute.device == "cuda" and not has_cuda:
        hint = "--set compute.device=auto"
        raise UsageError("The spec asks for compute.device: cuda; torch sees no CUDA device here.", hint=hint)
    if compute.attention.startswith("flash") and (compute.device == "cpu" or not has_cuda):
        message = f"compute.attention: {compute.attention} runs on CUDA devices alone; this run is on the CPU."
        raise UsageError(message, hint="--set compute.attention=auto")
    device: Literal["cpu", "cuda"] = "cuda" if has_cuda and compute.device != "cpu" else "cpu"
    precision: Precision = (
        "bf16" if device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    )
    if device == "cpu" and BF16_CPU_FLAGS & cpu_flags():
        precision = "bf16"
    if compute.precision != "auto":
        precision = compute.precision
    if device == "cuda" and compute.processes > torch.cuda.device_count():
        seen = f"The spec asks for compute.processes: {compute.processes}; torch sees {torch.cuda.device_count()} CUDA devices."
        raise UsageError(seen, hint=f"--set compute.processes={torch.cuda.device_count()}")
    if device == "cpu" and compute.sharding == "full":
        seen = "compute.sharding: full cuts the model up among CUDA devices; this run is on the CPU, where accelerate cannot."
        raise UsageError(seen, hint="--set compute.sharding=none")
    threads = compute.threads or len(os.sched_getaffinity(0))
    attention = None if compute.attention == "auto" else compute.attention
    return Device(
        device, precision, threads, attention,
        processes=compute.processes, nodes=compute.nodes, sharding=compute.sharding,
    )  # fmt: skip
