"""Rows of one forward pass side by side in few sequences, instead of one sequence per row filled up with padding.

Position ids start again at 0 with each row. Where there is no attention mask, transformers reads them as borders and builds a
block-diagonal causal mask for its eager and SDPA attention (masking_utils.find_packed_sequence_indices). Model families that
do not are found out by `contamination`, not by a list of names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ftcore.training.conversations import IGNORED


@dataclass(frozen=True)
class PackingCollator:
    """Rows (`input_ids`, `labels`) to one batch, all int64 [sequences, longest sequence]: `input_ids`, `labels`, `position_ids`.

    Only rows of the same pass share sequences, so a step learns from the same rows as without packing.
    """

    pad_id: int
    capacity: int
    """Tokens per sequence; a longer row gets one of its own."""

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        groups = pack([len(row["input_ids"]) for row in rows], self.capacity)
        columns: dict[str, list[list[int]]] = {"input_ids": [], "labels": [], "position_ids": []}
        for group in groups:
            members = [rows[index] for index in group]
            columns["input_ids"].append([token for row in members for token in row["input_ids"]])
            # The first token of a row is no answer to the last one of the row before it.
            columns["labels"].append([label for row in members for label in (IGNORED, *row["labels"][1:])])
            columns["position_ids"].append([at for row in members for at in range(len(row["input_ids"]))])
        fill = {"input_ids": self.pad_id, "labels": IGNORED, "position_ids": 0}  # each padding token a row of its own
        width = max(len(ids) for ids in columns["input_ids"])
        return {
            name: torch.tensor([[*item, *[fill[name]] * (width - len(item))] for item in items])
            for name, items in columns.items()
        }


def pack(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Groups of rows whose lengths add up to at most `capacity` (a longer row stands alone): first fit, longest rows first."""
    groups: list[list[int]] = []
    left: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        place = next((index for index, room in enumerate(left) if room >= lengths[row]), None)
        if place is None:
            groups.append([])
            left.append(capacity)
            place = len(groups) - 1
        groups[place].append(row)
        left[place] -= lengths[row]
    return groups


def contamination(model: nn.Module, rows: Sequence[Sequence[int]]) -> float:
    """Largest difference between the logits of rows that share a sequence and of the same rows alone, relative to the largest.

    The model is put into evaluation mode for it and back.

    Args:
        rows: Token ids, at least two rows.
    """
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    batch = PackingCollator(0, sum(len(row) for row in rows))([{"input_ids": row, "labels": row} for row in rows])
    order = pack([len(row) for row in rows], sum(len(row) for row in rows))[0]
    with torch.inference_mode():
        together = model(
            input_ids=batch["input_ids"].to(device), position_ids=batch["position_ids"].to(device), use_cache=False
        ).logits[0]
        alone = torch.cat([model(input_ids=torch.tensor([rows[at]], device=device)).logits[0] for at in order])
    model.train(was_training)
    return float((together - alone).abs().max() / alone.abs().max().clamp(min=1e-9))
