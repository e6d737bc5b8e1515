"""What the machine has, told without loading torch: cache keys need the device class and must stay cheap."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from ftcore.spec import ComputeSpec

BF16_CPU_FLAGS = frozenset({"amx_bf16", "avx512_bf16"})


@cache
def cpu_flags() -> frozenset[str]:
    """Instruction sets of the processor as Linux names them; empty where /proc/cpuinfo is not there."""
    return frozenset(_cpuinfo("flags", "Features").split())


@cache
def cpu_model() -> str:
    """Name of the processor; empty where /proc/cpuinfo does not tell."""
    return _cpuinfo("model name", "CPU part").strip()


def _cpuinfo(*names: str) -> str:
    """What the first line with one of these names says."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return ""
    lines = (line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith(names))
    return next(lines, ":").partition(":")[2]


def device_class(compute: ComputeSpec) -> str:
    """`cuda` or `cpu`, with the number format: results may differ in the last digits between classes, not within one.

    An NVIDIA device file counts as CUDA; where torch then finds none, the key merely misses a reusable output.
    """
    has_cuda = any(Path("/dev").glob("nvidia[0-9]*")) and os.environ.get("CUDA_VISIBLE_DEVICES") != ""
    device = "cuda" if compute.device == "cuda" or (compute.device == "auto" and has_cuda) else "cpu"
    if compute.precision != "auto":
        return f"{device} {compute.precision}"
    if device == "cpu":
        return f"cpu {'bf16' if BF16_CPU_FLAGS & cpu_flags() else 'fp32'}"
    return "cuda auto"
