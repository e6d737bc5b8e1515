"""Candidate against champion inside each slice, with Holm's correction over the slices that are judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ftcore.evaluation.classification.metrics import SMALL_SLICES_SHOWN
from ftcore.evaluation.classification.paired import accuracy_spread, wins_of
from ftcore.evaluation.generation.holdout import TextHoldout
from ftcore.evaluation.generation.metrics import value_of
from ftcore.evaluation.generation.paired import text_spread
from ftcore.evaluation.rows import Column, Holdout
from ftcore.evaluation.statistics.differences import Spread, level_of
from ftcore.spec import GateSpec

LARGE_DROP = 0.05
LARGE_DROP_ROWS = 200


@dataclass(frozen=True)
class SliceComparison:
    """Accuracy (of generated text: the gate's metric) of candidate and champion on the rows of one slice."""

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
    n: int
    candidate: float
    champion: float
    spread: Spread


def compare_slices(holdout: Holdout | TextHoldout, gate: GateSpec) -> tuple[SliceComparison, ...]:
    """Every slice with at least `min_slice_rows` rows is judged; the largest smaller ones are shown.

    A slice is blocked when the candidate is certainly worse on it (Holm-adjusted one-sided upper bound of the difference,
    at 1 - alpha, below 0, and a drop beyond `margin`, so that millions of rows cannot make a trifle block), or when it drops by
    more than 5 points on 200 rows or more and its uncorrected bound is below 0.
    """
    parts = [part for name, column in (holdout.slices or {}).items() for part in _parts(holdout, gate, name, column)]
    judged = sorted((part for part in parts if part.n >= gate.min_slice_rows), key=_z)
    levels = _holm_levels(judged, gate.alpha)
    small = sorted((part for part in parts if part.n < gate.min_slice_rows), key=lambda part: -part.n)
    found = [_compare(holdout, part, level, gate) for part, level in zip(judged, levels, strict=True)]
    return (*found, *(_compare(holdout, part, None, gate) for part in small[:SMALL_SLICES_SHOWN]))


def _parts(holdout: Holdout | TextHoldout, gate: GateSpec, name: str, column: Column) -> Iterator[_Part]:
    order = np.argsort(column.codes, kind="stable")
    ends = np.searchsorted(column.codes[order], np.arange(len(column.values) + 1))
    wins = None if isinstance(holdout, TextHoldout) else wins_of(holdout, "candidate", "champion")
    for code, value in enumerate(column.values):
        rows = order[ends[code] : ends[code + 1]]
        if not len(rows):
            continue
        if isinstance(holdout, TextHoldout):
            part = holdout.rows(rows)
            values = [value_of(part, role, gate.metric) for role in ("candidate", "champion")]
            yield _Part(name, value, len(rows), values[0], values[1], text_spread(part, gate.metric))
        elif wins is not None:
            groups = None if holdout.groups is None else np.unique(holdout.groups[rows], return_inverse=True)[1]
            right = [
                float((holdout.predictions[role][rows] == holdout.target[rows]).mean())
                for role in ("candidate", "champion")
            ]
            yield _Part(name, value, len(rows), right[0], right[1], accuracy_spread(wins[rows], groups))


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
    return difference < -LARGE_DROP and part.n >= LARGE_DROP_ROWS and part.spread.bound(1 - alpha) < 0


def _compare(holdout: Holdout | TextHoldout, part: _Part, level: float | None, gate: GateSpec) -> SliceComparison:
    metric = gate.metric if isinstance(holdout, TextHoldout) else "accuracy"
    difference, upper = part.candidate - part.champion, None if level is None else part.spread.bound(level)
    where = f"On {part.column}={part.value!r} ({part.n:,} rows)"
    reason = ""
    if upper is not None and upper < 0 and difference < -gate.margin:
        reason = (
            f"{where} the candidate is worse by {-100 * difference:.1f} points: "
            f"upper {level_of(gate.alpha)} bound {100 * upper:+.1f} points (Holm)."
        )
    elif upper is not None and _is_large_drop(part, difference, gate.alpha):
        reason = f"{where} {metric} drops by {-100 * difference:.1f} points; allowed {100 * LARGE_DROP:.0f}."
    return SliceComparison(
        column=part.column, value=part.value, n=part.n, champion=part.champion, candidate=part.candidate,
        difference=difference, ci_low=part.spread.bound(0.025), ci_high=part.spread.bound(0.975), upper=upper,
        blocked=bool(reason), reason=reason,
    )  # fmt: skip
