"""Candidate against champion inside each slice, with Holm's correction over the slices that are judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ftcore.evaluation.metrics import SMALL_SLICES_SHOWN
from ftcore.evaluation.paired import Spread, accuracy_spread, level_of, wins_of
from ftcore.evaluation.rows import Column, Holdout, Ints
from ftcore.spec import GateSpec

LARGE_DROP = 0.05
LARGE_DROP_ROWS = 200


@dataclass(frozen=True)
class SliceComparison:
    """Accuracy of candidate and champion on the rows of one slice."""

    column: str
    value: str
    n: int
    champion: float
    candidate: float
    difference: float
    ci_low: float
    ci_high: float
    """Two-sided 95 % interval, not corrected."""
    upper: float | None
    """One-sided upper bound at Holm's level; None: too few rows to judge."""
    blocked: bool
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"judged": self.upper is not None}


@dataclass(frozen=True)
class _Part:
    column: str
    value: str
    rows: Ints
    spread: Spread


def compare_slices(holdout: Holdout, gate: GateSpec) -> tuple[SliceComparison, ...]:
    """Every slice with at least `min_slice_rows` rows is judged; the largest smaller ones are shown.

    A slice is blocked when the candidate is certainly worse on it (Holm-adjusted one-sided upper bound of the difference,
    at 1 - alpha, below 0, and a drop beyond `margin`, so that millions of rows cannot make a trifle block), or when it drops by
    more than 5 points on 200 rows or more and its uncorrected bound is below 0.
    """
    wins = wins_of(holdout, "candidate", "champion")
    parts = [part for name, column in (holdout.slices or {}).items() for part in _parts(holdout, wins, name, column)]
    judged = sorted((part for part in parts if len(part.rows) >= gate.min_slice_rows), key=_z)
    levels = _holm_levels(judged, gate.alpha)
    small = sorted((part for part in parts if len(part.rows) < gate.min_slice_rows), key=lambda part: -len(part.rows))
    found = [_compare(holdout, part, level, gate) for part, level in zip(judged, levels, strict=True)]
    return (*found, *(_compare(holdout, part, None, gate) for part in small[:SMALL_SLICES_SHOWN]))


def _parts(holdout: Holdout, wins: Ints, name: str, column: Column) -> Iterator[_Part]:
    order = np.argsort(column.codes, kind="stable")
    ends = np.searchsorted(column.codes[order], np.arange(len(column.values) + 1))
    for code, value in enumerate(column.values):
        rows = order[ends[code] : ends[code + 1]]
        if len(rows):
            groups = None if holdout.groups is None else np.unique(holdout.groups[rows], return_inverse=True)[1]
            yield _Part(name, value, rows, accuracy_spread(wins[rows], groups))


def _z(part: _Part) -> float:
    return part.spread.centre / part.spread.se


def _holm_levels(parts: list[_Part], alpha: float) -> list[float]:
    """Confidence of each upper bound (worst slice first): Holm (1979) steps on to the next level only while it rejects."""
    levels: list[float] = []
    step = 0
    for part in parts:
        level = 1 - alpha / (len(parts) - step)
        levels.append(level)
        if step == len(levels) - 1 and part.spread.bound(level) < 0:
            step += 1
    return levels


def _is_large_drop(part: _Part, difference: float, alpha: float) -> bool:
    """More than 5 points on 200 rows or more, and not a matter of a few discordant groups (uncorrected bound below 0)."""
    return difference < -LARGE_DROP and len(part.rows) >= LARGE_DROP_ROWS and part.spread.bound(1 - alpha) < 0


def _compare(holdout: Holdout, part: _Part, level: float | None, gate: GateSpec) -> SliceComparison:
    target = holdout.target[part.rows]
    candidate, champion = (
        float((holdout.predictions[role][part.rows] == target).mean()) for role in ("candidate", "champion")
    )
    difference, upper = candidate - champion, None if level is None else part.spread.bound(level)
    where = f"On {part.column}={part.value!r} ({len(part.rows):,} rows)"
    reason = ""
    if upper is not None and upper < 0 and difference < -gate.margin:
        reason = (
            f"{where} the candidate is worse by {-100 * difference:.1f} points: "
            f"upper {level_of(gate.alpha)} bound {100 * upper:+.1f} points (Holm)."
        )
    elif upper is not None and _is_large_drop(part, difference, gate.alpha):
        reason = f"{where} accuracy drops by {-100 * difference:.1f} points; allowed {100 * LARGE_DROP:.0f}."
    return SliceComparison(
        column=part.column, value=part.value, n=len(part.rows), champion=champion, candidate=candidate,
        difference=difference, ci_low=part.spread.bound(0.025), ci_high=part.spread.bound(0.975), upper=upper,
        blocked=bool(reason), reason=reason,
    )  # fmt: skip
