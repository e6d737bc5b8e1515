"""Rows to batches: token ids made once, batches of rows of like length, an order that depends on seed and epoch alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from tokenizers import Tokenizer
from torch.utils.data import Dataset, Sampler

from ftcore.errors import DataRefused
from ftcore.models.tokens import pad

_BATCHES_PER_POOL = 50


class TokenDataset(Dataset[tuple[list[int], int]]):  # type: ignore[misc]
    """Token ids and class index of each row, in memory."""

    def __init__(self, tokenizer: Tokenizer, texts: Sequence[str], targets: Sequence[int]) -> None:
        self.tokens: list[list[int]] = [encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts))]
        self.targets = list(targets)

    @classmethod
    def of(cls, tokenizer: Tokenizer, rows: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> TokenDataset:
        """From prepared rows (`text`, `label`).

        Raises:
            DataRefused: There are no rows, or a row's label is not in `labels`.
        """
        if not rows:
            hint = "--set data.validation_fraction=0.15"
            raise DataRefused("A split to train or validate on has no rows; wanted at least one.", hint=hint)
        index = {label: position for position, label in enumerate(labels)}
        unknown = sum(row["label"] not in index for row in rows)
        if unknown:
            raise DataRefused(
                f"{unknown} of {len(rows)} rows have a label that is not among the {len(labels)} classes."
            )
        return cls(tokenizer, [row["text"] for row in rows], [index[row["label"]] for row in rows])

    def by_length(self) -> TokenDataset:
        """The same rows, shortest first: with a fixed order this pads least."""
        order = sorted(range(len(self)), key=lambda row: len(self.tokens[row]))
        ordered = object.__new__(TokenDataset)
        ordered.tokens = [self.tokens[row] for row in order]
        ordered.targets = [self.targets[row] for row in order]
        return ordered

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, row: int) -> tuple[list[int], int]:
        return self.tokens[row], self.targets[row]


class LengthGroupedSampler(Sampler[int]):  # type: ignore[misc]
    """Shuffles rows so that each batch holds rows of like length.

    The order is a function of seed and epoch, not of the global random state, so a resumed run finds its place again.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        return iter(length_grouped_order(self.lengths, self.batch_size, self.seed + self.epoch))


def length_grouped_order(lengths: Sequence[int], batch_size: int, seed: int) -> list[int]:
    """A permutation of the rows to be cut into batches of `batch_size`.

    Rows are shuffled, sorted by length inside pools of 50 batches, cut into batches, and the batches shuffled. The batch that
    is not full, if there is one, stays last, so that cutting the order meets the same batches.
    """
    generator = torch.Generator().manual_seed(seed)
    shuffled: list[int] = torch.randperm(len(lengths), generator=generator).tolist()
    pool = batch_size * _BATCHES_PER_POOL
    grouped = [
        row
        for start in range(0, len(shuffled), pool)
        for row in sorted(shuffled[start : start + pool], key=lambda row: lengths[row])
    ]
    batches = [grouped[start : start + batch_size] for start in range(0, len(grouped), batch_size)]
    num_full = len(grouped) // batch_size
    order: list[int] = torch.randperm(num_full, generator=generator).tolist()
    return [row for index in (*order, *range(num_full, len(batches))) for row in batches[index]]


def collate(rows: Sequence[tuple[list[int], int]], pad_id: int) -> dict[str, torch.Tensor]:
    """One batch: `input_ids` and `attention_mask` [rows, longest row], `labels` [rows], all int64."""
    input_ids, attention_mask = pad([tokens for tokens, _ in rows], pad_id)
    return {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "labels": torch.tensor([target for _, target in rows]),
    }
