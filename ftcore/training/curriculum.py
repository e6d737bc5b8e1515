"""Easy rows first: how hard a row is, how many of the easiest are in use at a step, and the order that follows.

Competence-based curriculum (Platanios et al. 2019, arXiv:1903.09848): a step draws from the easiest share of the rows; the share
grows with the steps. The order depends on seed, epoch and step alone, so a resumed run meets the same rows.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import Sampler
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from ftcore.errors import DataRefused
from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.models.embeddings import Embedder
from ftcore.models.tokens import pad
from ftcore.records import canonical_json, digest_of
from ftcore.spec import CurriculumSpec, TrainingSpec
from ftcore.store import write_durable
from ftcore.training.conversations import IGNORED
from ftcore.training.examples import length_grouped_order
from ftcore.training.settings import num_steps
from ftcore.training.tasks import Rows, TrainingTask, load_weights
from ftcore.training.trainer import say

_STEPS_PER_POOL = 8
"""Steps that are drawn together, so that rows of like length can share a batch."""
_NUM_STAIRS = 4
_BATCH = 32


def competence(progress: float, settings: CurriculumSpec) -> float:
    """Share of rows in use, from `start_fraction` to 1.

    Args:
        progress: Share of all steps that are done.
    """
    done = min(progress / settings.until, 1.0)
    if settings.pacing == "root":  # as many new rows for every step, relative to those in use: equation 8 of the paper
        return min(1.0, math.sqrt(done * (1 - settings.start_fraction**2) + settings.start_fraction**2))
    if settings.pacing == "step":
        done = math.floor(done * _NUM_STAIRS) / _NUM_STAIRS
    return min(1.0, settings.start_fraction + (1 - settings.start_fraction) * done)


class CurriculumSampler(Sampler[int]):  # type: ignore[misc]
    """Draws each epoch's steps from the easiest share of the rows.

    An epoch has as many rows as the data set. While the share is below 1 easy rows come more than once and hard ones not at all;
    once it is 1 at the beginning of an epoch, every epoch holds each row once.

    Args:
        difficulty: One number per row; higher is harder.
        lengths: Tokens of each row.
        batch_size: Rows per optimiser step.
        seed: Seeds the draws.
        num_steps: Of the whole run.
        settings: Start, pace and end.
    """

    def __init__(
        self, difficulty: Sequence[float], lengths: Sequence[int], batch_size: int, seed: int, num_steps: int,
        settings: CurriculumSpec,
    ) -> None:  # fmt: skip
        if len(difficulty) != len(lengths):
            raise ValueError(f"{len(difficulty)} difficulties for {len(lengths)} rows")
        self.easiest_first = [int(row) for row in np.argsort(np.asarray(difficulty), kind="stable")]
        self.lengths, self.batch_size, self.seed, self.settings = lengths, batch_size, seed, settings
        self.steps_per_epoch = math.ceil(len(lengths) / batch_size)
        self.num_steps, self.epoch = num_steps, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        first = self.epoch * self.steps_per_epoch
        if competence(first / self.num_steps, self.settings) >= 1.0:
            return iter(length_grouped_order(self.lengths, self.batch_size, self.seed + self.epoch))
        return iter(self._drawn(first))

    def _drawn(self, first: int) -> list[int]:
        order: list[int] = []
        for step in range(0, self.steps_per_epoch, _STEPS_PER_POOL):
            wanted = min(_STEPS_PER_POOL * self.batch_size, len(self) - len(order))
            share = competence((first + step) / self.num_steps, self.settings)
            in_use = self.easiest_first[: max(math.ceil(share * len(self)), min(self.batch_size, len(self)))]
            generator = torch.Generator().manual_seed(_mixed(self.seed, first + step))
            drawn: list[int] = []
            while len(drawn) < wanted:  # each row once before any comes again
                drawn += [in_use[at] for at in torch.randperm(len(in_use), generator=generator).tolist()]
            drawn = sorted(drawn[:wanted], key=lambda row: self.lengths[row])
            batches = [drawn[at : at + self.batch_size] for at in range(0, len(drawn), self.batch_size)]
            full = [batch for batch in batches if len(batch) == self.batch_size]
            shuffled = torch.randperm(len(full), generator=generator).tolist()
            order += [row for at in shuffled for row in full[at]]
            order += [row for batch in batches[len(full) :] for row in batch]
        return order


@dataclass(frozen=True)
class CurriculumOrder:
    """Makes the sampler of a run: a `RowOrder`."""

    difficulty: Sequence[float] | None
    """One number per row; None: its tokens."""
    training: TrainingSpec
    settings: CurriculumSpec

    def __call__(self, lengths: Sequence[int], batch_size: int, seed: int) -> CurriculumSampler:
        hard, steps = lengths if self.difficulty is None else self.difficulty, num_steps(self.training, len(lengths))
        alike = lengths if self.training.group_by_length else [0] * len(lengths)
        return CurriculumSampler(hard, alike, batch_size, seed, steps, self.settings)


def _mixed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)


def row_order(job: TrainingTask, rows: Rows, settings: CurriculumSpec, device: Device, folder: Path) -> CurriculumOrder:
    """The sampler's maker for a run.

    Args:
        job: Its base model judges the rows where `difficulty` is `base_loss`.
        rows: Training rows, in the order of the job's data set.
        folder: Keeps what the base model said, for a second attempt.

    Raises:
        DataRefused: A row has no number in the difficulty column.
    """
    if settings.difficulty == "length":
        difficulty = None
    elif settings.difficulty == "column":
        difficulty = _column(rows)
    else:
        difficulty = _remembered(job, rows, device, folder)

    return CurriculumOrder(difficulty, job.training, settings)


def _column(rows: Rows) -> list[float]:
    values = []
    for row in rows:
        try:
            values.append(float(row.get("difficulty", "")))
        except ValueError:
            values.append(math.nan)
    bad = sum(not math.isfinite(value) for value in values)
    if bad:
        raise DataRefused(
            f"{bad:,} of {len(rows):,} training rows have no number in the column that data.columns.difficulty names.",
            hint="--set method.curriculum.difficulty=length",
        )
    return values


def _remembered(job: TrainingTask, rows: Rows, device: Device, folder: Path) -> list[float]:
    texts = [row.get("messages") or [row["text"], row.get("label") or row.get("completion")] for row in rows]
    key = digest_of([job.base.digest, job.training.max_length, device.device, device.precision, texts])
    path = folder / f"difficulty-{key[:16]}.json"
    try:
        found: list[float] = json.loads(path.read_text(encoding="utf-8"))
        if len(found) == len(rows):
            return found
    except (OSError, ValueError):
        pass  # a first attempt, or a file cut short: computed again
    say(f"the base model reads {len(rows):,} rows to tell easy from hard")
    difficulty = base_loss(job, rows, device)
    write_durable(path, canonical_json(difficulty))
    return difficulty


def base_loss(job: TrainingTask, rows: Rows, device: Device) -> list[float]:
    """How hard the base model finds each row; higher is harder.

    A classifier's head is untrained, its loss says nothing. Its embeddings do: the cosine similarity to the nearest centroid of
    another class minus that to the centroid of the row's own class, the row itself left out. Generation: mean loss of the
    answer's tokens.
    """
    if job.name == "classification":
        return _centroid_margin(job.base, rows, device, job.training.max_length)
    return _answer_loss(job, device)


def _centroid_margin(base: BaseModel, rows: Rows, device: Device, max_length: int) -> list[float]:
    embeddings = Embedder(base, device, max_length)([str(row["text"]) for row in rows])
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True).clip(1e-12)
    labels = sorted({str(row["label"]) for row in rows})
    own = np.array([labels.index(str(row["label"])) for row in rows])
    sums = np.zeros((len(labels), embeddings.shape[1]))
    np.add.at(sums, own, embeddings)
    similar = embeddings @ (sums / np.linalg.norm(sums, axis=1, keepdims=True).clip(1e-12)).T
    others = similar.copy()
    others[np.arange(len(rows)), own] = -np.inf
    nearest = others.max(axis=1) if len(labels) > 1 else np.zeros(len(rows))
    rest = sums[own] - embeddings  # of a class with one row nothing is left: similarity 0
    mine = (embeddings * rest).sum(axis=1) / np.linalg.norm(rest, axis=1).clip(1e-12)
    return [float(value) for value in nearest - mine]


def _answer_loss(job: Any, device: Device) -> list[float]:
    """Mean loss per answer token, in the order of the job's training rows."""
    seq2seq = job.name == "seq2seq"
    kind = AutoModelForSeq2SeqLM if seq2seq else AutoModelForCausalLM
    model = load_weights(kind, job.base, "a language model").to(device.device).eval()
    rows = (
        [(job.train.tokens[at], job.train.targets[at]) for at in range(len(job.train))]
        if seq2seq
        else [(row.input_ids, row.labels) for row in job.train]
    )
    losses = [0.0] * len(rows)
    order = sorted(range(len(rows)), key=lambda at: len(rows[at][0]))
    for start in range(0, len(order), _BATCH):
        chosen = order[start : start + _BATCH]
        ids, mask = pad([rows[at][0] for at in chosen], job.pad_id)
        labels, _ = pad([rows[at][1] for at in chosen], IGNORED)
        with torch.inference_mode(), device.autocast():
            batch = {"input_ids": ids.to(device.device), "attention_mask": mask.to(device.device)}
            logits = model(**batch, **({"labels": labels.to(device.device)} if seq2seq else {})).logits.float().cpu()
        if not seq2seq:
            logits, labels = logits[:, :-1], labels[:, 1:]
        each = nn.functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none", ignore_index=IGNORED)
        learnt = (labels != IGNORED).sum(dim=1).clamp(min=1)
        for at, loss in zip(chosen, (each.sum(dim=1) / learnt).tolist(), strict=True):
            losses[at] = loss
    return losses
