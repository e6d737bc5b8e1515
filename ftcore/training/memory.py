"""Memory: what a training step will need, what the device has, and which errors mean that it was not enough."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ftcore.models.devices import Device

GB = 1e9
_ADAM_STATES = 2
_M_MMAP_THRESHOLD, _LARGE = -3, 1 << 20  # of glibc's malloc.h
_CPU_ALLOCATOR = ("can't allocate memory", "not enough memory")
_CGROUP = Path("/sys/fs/cgroup")
_PROC = Path("/proc")


@dataclass(frozen=True)
class Needs:
    """Bytes that training takes at its peak, beside what the process holds already."""

    weights: int
    """All parameters; 0 if they already lie on the device."""
    gradients: int
    """Of trainable parameters."""
    optimizer: int
    """AdamW's two moments of each trainable parameter, float32 (Loshchilov & Hutter 2019, arXiv:1711.05101)."""
    activations: int
    """What one forward pass keeps for the backward pass."""

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.activations


def needs(model: nn.Module, bytes_per_row: float, rows: int, *, loaded: bool, processes: int = 1) -> Needs:
    """Estimate of the peak of a step: weights, gradients and optimiser states by counting, activations by measuring one row.

    The sum is the one of Rajbhandari et al. 2020 (ZeRO, arXiv:1910.02054, section 3) for AdamW in float32.

    Args:
        bytes_per_row: From `saved_bytes` on the longest row; what autograd keeps grows with the rows of the pass.
        rows: Rows per forward pass, each taken to be as long as the longest.
        loaded: The weights lie on the device already.
        processes: That hold gradients and optimiser states in parts.
    """
    parameters = list(model.parameters())
    trained = sum(item.numel() for item in parameters if item.requires_grad)
    weights = sum(item.numel() * item.element_size() for item in parameters)
    trained //= processes
    return Needs(0 if loaded else weights, 4 * trained, 4 * _ADAM_STATES * trained, round(bytes_per_row * rows))


@contextmanager
def saved_bytes(model: nn.Module) -> Iterator[list[int]]:
    """Counts what autograd keeps for the backward pass inside the block; the list's sum is the bytes.

    Each piece of storage counts once, parameters and buffers not at all: they are there anyway (torch.autograd.graph's
    saved_tensors_hooks; https://pytorch.org/docs/stable/autograd.html#hooks-for-saved-tensors).
    """
    known = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    kept: list[torch.Tensor] = []  # alive, so that an address stands for one piece
    sizes: list[int] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            known.add(storage.data_ptr())
            kept.append(tensor.detach())
            sizes.append(storage.nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield sizes


def free_bytes(device: Device) -> int | None:
    """Memory that a new allocation on the device can have; None: not known.

    On a GPU as the driver says; else the smaller of MemAvailable of /proc/meminfo and what the control group leaves.
    """
    if device.device == "cuda":
        free, _ = torch.cuda.mem_get_info()
        return int(free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated())
    found = [size for size in (_available(), _left_in_cgroup()) if size is not None]
    return min(found, default=None)


def _available() -> int | None:
    try:
        lines = (_PROC / "meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    sizes = [line.split() for line in lines if line.startswith("MemAvailable:")]
    return int(sizes[0][1]) * 1024 if sizes else None


def _left_in_cgroup() -> int | None:
    """Of a container: limit less use, not counting the page cache that the kernel would give back (cgroup v2, then v1)."""
    for limit, use, stat, cache in (
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
    ):
        try:
            wanted = (_CGROUP / limit).read_text(encoding="ascii").strip()
            used = int((_CGROUP / use).read_text(encoding="ascii"))
            stats = dict(line.split() for line in (_CGROUP / stat).read_text(encoding="ascii").splitlines())
        except (OSError, ValueError):
            continue
        if wanted != "max" and int(wanted) < 1 << 60:  # v1 writes a huge number for no limit
            return max(int(wanted) - used + int(stats.get(cache, 0)), 0)
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """True for what torch raises when an allocation fails, on GPUs and on CPUs."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _CPU_ALLOCATOR)


def give_back_at_once() -> None:
    """Let glibc return freed blocks of a megabyte or more to the system, for as long as this process lives.

    It would keep them for later blocks, which come in other sizes; the gaps between them made the process up to three times as
    large (MiniLM, 32 rows of 128 tokens: LoRA 2,198 MB against 1,185 MB, gradient checkpointing 1,068 MB against 379 MB).
    It costs speed, up to a third where tensors have a few megabytes: for trainings that are short of memory.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").mallopt(_M_MMAP_THRESHOLD, _LARGE)


def give_back() -> None:
    """Return what a failed attempt held: trainer and model refer to each other, so only the collector frees them."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
