"""What a leak is, and how leaks are counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ftcore.data.cleaning import match_keys

Row = Mapping[str, Any]


@dataclass(frozen=True, order=True)
class Leak:
    """One hit. Row numbers count from 0."""

    rule: str
    test_row: int | None
    """None: the fault lies in a train row alone."""
    train_row: int | None
    """None: the fault lies in the test row alone, or an earlier training has seen it."""
    score: float
    """Similarity under the rule, 0 to 1; 1: the same under the rule."""


def leaked_fraction(leaks: Sequence[Leak], num_test: int) -> float:
    """Share of test rows with at least one hit; 0 where there are no test rows (an empty split is refused elsewhere)."""
    return len(leaked_rows(leaks)) / num_test if num_test else 0.0


def leaked_rows(leaks: Iterable[Leak]) -> set[int]:
    """Numbers of the test rows that are hit."""
    return {leak.test_row for leak in leaks if leak.test_row is not None}


def count_by_rule(leaks: Sequence[Leak], rules: Sequence[str]) -> dict[str, int]:
    """Leaked test rows per rule, rules without hits included."""
    return {rule: len(leaked_rows(leak for leak in leaks if leak.rule == rule)) for rule in rules}


@dataclass(frozen=True)
class Chunk:
    """Consecutive train rows; `start` is the number of the first."""

    start: int
    rows: Sequence[Row]

    @cached_property
    def keys(self) -> list[str]:
        """Normalised texts, made once for all rules."""
        return match_keys(self.rows)
