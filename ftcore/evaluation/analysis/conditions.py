"""Conditions that rows meet or not (a value of a column, a length), and the features that a tree finds slices with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ftcore.evaluation.rows import Bools, Column, Ints

Kind = Literal["is", "is not", "at most", "at least"]
MAX_VALUES = 30
"""Values of a column that become conditions, the largest first."""
NUM_STEPS = 8
"""Thresholds of a number lie at its eighths, so that they are few and round."""


@dataclass(frozen=True, order=True)
class Condition:
    """One condition, for example source is web, or words at least 12."""

    column: str
    kind: Kind
    value: str | float

    def __str__(self) -> str:
        if self.kind in ("is", "is not"):
            return f"{self.column} {self.kind} {self.value}"
        return f"{self.column} {self.kind} {self.value:g}"


@dataclass(frozen=True)
class Feature:
    """One input of the tree: a value that a row has or not, or a number in steps."""

    column: str
    values: npt.NDArray[np.float32]
    """[rows] 0 or 1; for numbers the step, counted from 0."""
    value: str | None = None
    """The value of a column; None: a number."""
    ends: tuple[float, ...] = ()
    """Of a number: the largest value of each step."""
    starts: tuple[float, ...] = ()
    """Of a number: the smallest value of each step."""

    def condition(self, threshold: float, above: bool) -> Condition:
        """What a split of the tree says on one of its sides."""
        if self.value is not None:
            return Condition(self.column, "is" if above else "is not", self.value)
        step = int(np.floor(threshold))
        return Condition(
            self.column, "at least" if above else "at most", self.starts[step + 1] if above else self.ends[step]
        )

    def mask(self, condition: Condition) -> Bools | None:
        """[rows] which rows meet the condition; None: it is about another feature."""
        if condition.column != self.column:
            return None
        if self.value is not None:
            if condition.value != self.value or condition.kind not in ("is", "is not"):
                return None
            found: Bools = self.values > 0.5 if condition.kind == "is" else self.values < 0.5
            return found
        if condition.kind == "at most":
            return np.asarray(self.values <= self.ends.index(float(condition.value)))
        if condition.kind == "at least":
            return np.asarray(self.values >= self.starts.index(float(condition.value)))
        return None


def conditions_of(feature: Feature) -> list[Condition]:
    """All that a split of the tree can say of a feature."""
    if feature.value is not None:
        return [feature.condition(0.5, above) for above in (True, False)]
    return [feature.condition(step + 0.5, above) for step in range(len(feature.ends) - 1) for above in (True, False)]


def features_of(columns: Mapping[str, Column], numbers: Mapping[str, Sequence[float]], min_rows: int) -> list[Feature]:
    """Features of all columns; values with fewer than `min_rows` rows, or with all but so few, are left out: they make no slice.

    Args:
        columns: Name -> values of a category; a row may have none.
        numbers: Name -> one number per row.
    """
    found: list[Feature] = []
    for name, column in columns.items():
        sizes = np.bincount(column.codes[column.codes >= 0], minlength=len(column.values))
        for code in np.argsort(-sizes, kind="stable")[:MAX_VALUES]:
            if min_rows <= sizes[code] <= len(column.codes) - min_rows:
                inside = (column.codes == code).astype(np.float32)
                found.append(Feature(name, inside, value=column.values[code]))
    for name, values in numbers.items():
        feature = _steps(name, np.asarray(values, dtype=float))
        if feature is not None:
            found.append(feature)
    return found


def _steps(name: str, values: npt.NDArray[np.float64]) -> Feature | None:
    if not len(values) or not np.isfinite(values).all():
        return None
    cuts = np.unique(np.quantile(values, np.arange(1, NUM_STEPS) / NUM_STEPS, method="lower"))
    step = np.searchsorted(cuts, values, side="left")
    used, dense = np.unique(step, return_inverse=True)
    if len(used) < 2:
        return None
    ends = tuple(float(values[dense == code].max()) for code in range(len(used)))
    starts = tuple(float(values[dense == code].min()) for code in range(len(used)))
    return Feature(name, dense.astype(np.float32), ends=ends, starts=starts)


def rows_meeting(conditions: Sequence[Condition], features: Sequence[Feature], num_rows: int) -> Bools:
    """[rows] which rows meet all conditions."""
    inside = np.ones(num_rows, dtype=bool)
    for condition in conditions:
        inside &= next(mask for feature in features if (mask := feature.mask(condition)) is not None)
    return inside


def halves(groups: Ints | None, num_rows: int, seed: int) -> Bools:
    """[rows] true for the first half; rows of a group stay together."""
    num_units = num_rows if groups is None else int(groups.max()) + 1
    first = np.zeros(num_units, dtype=bool)
    first[np.random.default_rng(seed).permutation(num_units)[: num_units // 2]] = True
    return first if groups is None else first[groups]
