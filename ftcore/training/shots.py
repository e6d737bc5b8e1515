"""Few-shot training: k rows of each class, drawn by the seed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from ftcore.errors import DataRefused

Row = TypeVar("Row", bound=Mapping[str, Any])


def few_shot(rows: Sequence[Row], shots: int, seed: int) -> list[Row]:
    """`shots` rows of each class, in their old order.

    Rows are drawn by a hash of seed and id, so that more shots keep the rows of fewer, and rows of other classes change nothing.

    Args:
        rows: With `id` and `label`.
        shots: Rows per class, at least 1.
        seed: Another seed, other rows.

    Raises:
        DataRefused: A class has fewer rows.
    """
    by_label: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        by_label.setdefault(row["label"], []).append(place)
    short = sum(len(places) < shots for places in by_label.values())
    if short:
        fewest = min(len(places) for places in by_label.values())
        raise DataRefused(
            f"{short} of {len(by_label)} classes have fewer than method.shots {shots} training rows (fewest: {fewest}).",
            hint=f"--set method.shots={fewest}",
        )

    def drawn(place: int) -> str:
        return hashlib.sha256(f"{seed} {rows[place]['id']}".encode()).hexdigest()

    kept = {place for places in by_label.values() for place in sorted(places, key=drawn)[:shots]}
    return [row for place, row in enumerate(rows) if place in kept]
