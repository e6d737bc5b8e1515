"""Checks before any epoch: what would otherwise show only after hours, or in production."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn

from ftcore.errors import UsageError
from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.training import memory
from ftcore.training.findings import Finding, Verdict
from ftcore.training.packing import contamination
from ftcore.training.tasks import TrainingTask
from ftcore.training.trainer import DurableTrainer

PREFLIGHT = "preflight.json"
_PROBE_ROWS = 8
_SHORT = 0.4
"""Of the free memory: what the estimate may be of it before it could run out for gaps between blocks."""
_PACKED_TOLERANCE = 1e-3


def check(job: TrainingTask, trainer: DurableTrainer, device: Device, micro_batch_size: int) -> list[Finding]:
    """All checks, on the rows, model and batches that training will use. Random numbers are left as they were.

    Args:
        job: Its rows are looked at.
        trainer: Ready to train; nothing of it changes.
        micro_batch_size: Rows per forward pass.
    """
    model = trainer.model
    findings = [*job.lint(model), embeddings(trainer, len(job.tokenizer)), padding(trainer)]
    if any(finding.verdict == "fault" for finding in findings):
        return findings  # such rows may not even pass through the model
    if job.training.packing:
        findings.append(packing(trainer))
    findings.append(_memory(job, trainer, device, micro_batch_size))
    return findings


def to_json(findings: Sequence[Finding]) -> str:
    """What `preflight.json` holds: a list of check, verdict, message, hint."""
    return json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False) + "\n"


def require_room_for_weights(base: BaseModel, device: Device) -> None:
    """Refuse before loading what cannot be loaded: weights come into main memory as float32 first.

    Raises:
        UsageError: They are larger than what is free.
    """
    wanted, free = (
        4 * _num_values(base.path) * device.processes,
        memory.free_bytes(Device("cpu", "fp32", device.threads)),
    )
    if free is not None and wanted > free:
        each = f" in {device.processes} processes" if device.processes > 1 else ""
        raise UsageError(
            f"The weights of {base.name} take {wanted / memory.GB:.1f} GB as float32{each}; {free / memory.GB:.1f} GB are free.",
            hint="name a smaller base model, or free memory",
        )


def _num_values(folder: Path) -> int:
    total = 0
    for path in folder.glob("model*.safetensors"):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 (not a dict)
                size = 1
                for length in file.get_slice(name).get_shape():
                    size *= length
                total += size
    return total


def embeddings(trainer: DurableTrainer, vocabulary: int) -> Finding:
    """Every token of the rows has an embedding; otherwise training crashes, on a GPU without a readable message."""
    known = int(trainer.model.get_input_embeddings().weight.shape[0])
    rows = (trainer.train_dataset, trainer.eval_dataset)
    highest = max(max(ids, default=0) for split in rows for ids in trainer.token_lists(split))
    if highest >= known:
        message = f"a row holds token {highest}, the model has {known:,} embeddings (0 to {known - 1})"
        return Finding("embeddings", "fault", message, "use the tokenizer that belongs to the base model")
    if vocabulary > known:
        message = f"the tokenizer knows {vocabulary:,} tokens, the model {known:,}; none of the rest is in the rows"
        return Finding("embeddings", "doubt", message)
    return Finding("embeddings", "ok", f"{vocabulary:,} tokens in the tokenizer, {known:,} embeddings in the model")


def padding(trainer: DurableTrainer) -> Finding:
    """Batching loses no label: a padding token that is the end-of-text token too must not be taken for padding."""
    picked = _spread(trainer)
    alone = sum(_items(trainer, [row]) for row in picked)
    together = _items(trainer, picked)
    if alone != together:
        message = f"{alone} labels of {len(picked)} rows become {together} in a batch: padding hides tokens to learn"
        return Finding("padding", "fault", message, "use a tokenizer whose pad_token is not its eos_token")
    return Finding("padding", "ok", f"all {alone} labels of {len(picked)} rows are there in a padded batch")


def _spread(trainer: DurableTrainer) -> list[object]:
    """A few training rows, of all lengths."""
    lengths = trainer.lengths(trainer.train_dataset)
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])
    return [trainer.train_dataset[row] for row in order[:: max(1, len(order) // _PROBE_ROWS)]]


def _items(trainer: DurableTrainer, rows: Sequence[object]) -> int:
    batch = trainer.data_collator(list(rows))
    if "completion_mask" in batch:  # rated answers have no labels
        return int(batch["completion_mask"].sum())
    return trainer.num_items(batch)


def packing(trainer: DurableTrainer) -> Finding:
    """Rows that share a sequence do not see each other, measured on this model and its attention."""
    rows = sorted(trainer.token_lists(trainer.train_dataset), key=len)
    with torch.random.fork_rng():
        difference = contamination(trainer.model, [rows[0], rows[len(rows) // 2]])
    if not difference <= _PACKED_TOLERANCE:
        message = f"packed rows see each other in this model: their logits differ by {difference:.2g} (relative)"
        return Finding("packing", "fault", message, "--set training.packing=false")
    return Finding(
        "packing", "ok", f"logits of packed rows differ by {difference:.1g} (relative) from those of rows alone"
    )


def bytes_needed(job: TrainingTask, trainer: DurableTrainer, device: Device, micro_batch_size: int) -> dict[int, int]:
    """Estimate of what training takes at its peak beside what is held already, by rows per forward pass: those of
    `micro_batch_size` and all smaller ones that divide the batch size, largest first.

    Raises:
        RuntimeError: Out of memory while measuring.
    """
    fixed, per_row = activation_bytes(trainer, device)
    own_rows = job.training.batch_size // device.num_processes
    sizes = [size for size in range(micro_batch_size, job.fewest_rows - 1, -1) if own_rows % size == 0]
    parts = device.num_processes if device.sharding == "full" else 1
    needed = {size: memory.needs(trainer.model, per_row, size, loaded=True, processes=parts) for size in sizes}
    return {size: round(fixed) + parts_of.total for size, parts_of in needed.items()}


def _memory(job: TrainingTask, trainer: DurableTrainer, device: Device, rows: int) -> Finding:
    """What a step needs against what is free, and the largest micro-batch that fits."""
    try:
        totals = bytes_needed(job, trainer, device, rows)
    except (RuntimeError, MemoryError) as error:
        if not memory.is_out_of_memory(error):
            raise
        memory.give_back()
        return Finding("memory", "fault", "a forward pass of two rows does not fit into memory", memory_hint(job))
    free = memory.free_bytes(device)
    if free is not None and device.device == "cpu":
        free //= device.processes
    needed = f"needs about {totals[rows] / memory.GB:.1f} GB"
    if free is None:
        return Finding("memory", "doubt", f"{needed}; how much is free is not known")
    message = f"{needed}, {free / memory.GB:.1f} GB free"
    fitting = [size for size, total in totals.items() if total <= free]
    if totals[rows] <= free:
        if device.device == "cpu" and totals[rows] > _SHORT * free:
            memory.give_back_at_once()
            message += "; freed blocks go back to the system at once, which costs speed"
        return Finding("memory", "ok", message)
    if not fitting:
        fewest = min(totals)
        least = f"{'one row needs' if fewest == 1 else f'{fewest} rows need'} {totals[fewest] / memory.GB:.1f} GB"
        return Finding("memory", "fault", f"{message}; {least}", memory_hint(job))
    # A GPU says when it is full, and the micro-batch is halved then; a process that fills main memory is killed.
    verdict: Verdict = "doubt" if device.device == "cuda" else "fault"
    return Finding("memory", verdict, message, f"--set training.micro_batch_size={fitting[0]}")


def memory_hint(job: TrainingTask) -> str:
    """What is left to do at one row per forward pass."""
    ways = [f"--set training.max_length={max(4, job.training.max_length // 2)}"]
    if not job.training.gradient_checkpointing:
        ways.append("--set training.gradient_checkpointing=true")
    return ", ".join([*ways, "--set method.name=lora (or qlora on a GPU)"])


def activation_bytes(trainer: DurableTrainer, device: Device) -> tuple[float, float]:
    """What a forward pass keeps for the backward pass: bytes whatever the rows, and bytes per row as long as the longest.

    Measured on one and two rows by what autograd saves. Added by formula (Korthikanti et al. 2022, arXiv:2205.05198, equation 1):
    one layer, of which the backward pass holds the gradients, or with gradient checkpointing the activations, computed again.

    Raises:
        RuntimeError: Out of memory.
    """
    model, lengths = trainer.model, trainer.lengths(trainer.train_dataset)
    longest = max(range(len(lengths)), key=lambda row: lengths[row])
    row = trainer.train_dataset[longest]
    one, two = (_kept(trainer, device, [row] * count) for count in (1, 2))
    per_row = float(max(two - one, 0))
    layer = _layer_bytes(model, lengths[longest], device)
    return max(one - per_row, 0.0), per_row + layer


def _kept(trainer: DurableTrainer, device: Device, rows: Sequence[object]) -> int:
    with torch.random.fork_rng(), device.autocast(), memory.saved_bytes(trainer.model) as sizes:
        loss = trainer.loss_of(rows)
        del loss
    return sum(sizes)


def _layer_bytes(model: nn.Module, num_tokens: int, device: Device) -> float:
    """Activations of one transformer layer for one row: 17 s h + 2.5 a s^2 values, s tokens, h hidden size, a heads."""
    config = model.config
    hidden, heads = int(config.hidden_size), int(config.num_attention_heads)
    size = 2 if device.precision == "bf16" else 4
    return size * (17 * num_tokens * hidden + 2.5 * heads * num_tokens**2)
