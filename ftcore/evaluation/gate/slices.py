"""Candidate against champion inside each slice, with Holm's correction over the slices that are judged.

A slice is blocked for either of two reasons, each tested with Holm's correction (1979) over all judged slices:

- worse: the upper bound of its difference (one-sided at `alpha` / 2) is below 0, and the drop is beyond `margin`, so that
  millions of rows cannot make a trifle block;
- set apart: it drops by 4 points or more, its uncorrected upper bound is below 0, and the upper bound of its difference minus
  that of all other rows is below 0 (both at `alpha`). Variance of that gap: the sum of both (the rows are others; groups with
  rows on both sides make it smaller, if anything).

Chance mostly brings both about together: at these levels innocent slices block in at most `alpha` of all decisions, as measured;
with `alpha` for both it was 5.1 %.

Why the second. A correction over ten slices asks so much of each that 200 rows which fall by 8 points are rarely beyond doubt. A
candidate that hides such a fall gains elsewhere, so the slice lies far from the other rows, and that gap is larger than the drop.
A plain limit ("5 points on 200 rows") finds as many, but chance alone breaks it somewhere in ten slices. Measured:
docs/decision-statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ftcore.errors import num_of
from ftcore.evaluation.classification.paired import wins_of
from ftcore.evaluation.classification.tables import SMALL_SLICES_SHOWN
from ftcore.evaluation.generation.holdout import TextHoldout
from ftcore.evaluation.generation.metrics import value_of
from ftcore.evaluation.generation.paired import text_spread
from ftcore.evaluation.rows import Column, Holdout, Ints
from ftcore.evaluation.statistics.differences import Spread, level_of
from ftcore.evaluation.statistics.shares import share_spread
from ftcore.spec import GateSpec

LARGE_DROP = 0.04
MIN_SLICE_GROUPS = 10
"""Fewer groups of rows (customers, threads) say too little: the upper bound of two is +100 points whatever the drop."""


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
    """One-sided upper bound at Holm's level (of alpha / 2); None: too few rows or groups to judge."""
    blocked: bool
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"judged": self.upper is not None}


@dataclass(frozen=True)
class _Part:
    column: str
    value: str
    rows: Ints
    num_groups: int | None
    """None: every row stands alone."""
    candidate: float
    champion: float
    spread: Spread

    @property
    def key(self) -> tuple[str, str]:
        return self.column, self.value

    @property
    def n(self) -> int:
        return len(self.rows)

    @property
    def difference(self) -> float:
        return self.candidate - self.champion


def compare_slices(holdout: Holdout | TextHoldout, gate: GateSpec) -> tuple[SliceComparison, ...]:
    """Every slice with at least `min_slice_rows` rows (of ten groups, where rows come in groups) is judged, worst first; of
    smaller ones those that the gate names and the largest are shown."""
    parts = [part for name, column in (holdout.slices or {}).items() for part in _parts(holdout, gate, name, column)]
    enough = [part for part in parts if not lacking(part.n, part.num_groups, gate)]
    judged = sorted(enough, key=lambda part: _z(part.spread))
    levels = _holm_levels([part.spread for part in judged], len(judged), gate.alpha / 2)
    reasons = _set_apart(holdout, judged, gate)
    for part, level in zip(judged, levels, strict=True):
        if part.spread.bound(level) < 0 and part.difference < -gate.margin:
            reasons[part.key] = _worse(part, level, gate)
    small = [part for part in parts if lacking(part.n, part.num_groups, gate)]
    is_named = {part.key: part.value in gate.slices.get(part.column, ()) for part in small}
    named = [part for part in small if is_named[part.key]]
    others = sorted((part for part in small if not is_named[part.key]), key=lambda part: -part.n)
    found = [
        _comparison(part, part.spread.bound(level), reasons.get(part.key, ""))
        for part, level in zip(judged, levels, strict=True)
    ]
    return (*found, *(_comparison(part, None, "") for part in (*named, *others[:SMALL_SLICES_SHOWN])))


def lacking(num_rows: int, num_groups: int | None, gate: GateSpec) -> str:
    """What a slice needs more of to be judged, for people; empty: nothing."""
    if num_rows < gate.min_slice_rows:
        return f"{num_rows:,} rows, too few to be judged: label {gate.min_slice_rows - num_rows:,} more of it"
    if num_groups is not None and num_groups < MIN_SLICE_GROUPS:
        few = f"{num_rows:,} rows of {num_of(num_groups, 'group')}, too few to be judged"
        return f"{few}: label rows of {num_of(MIN_SLICE_GROUPS - num_groups, 'more group')}"
    return ""


def _parts(holdout: Holdout | TextHoldout, gate: GateSpec, name: str, column: Column) -> Iterator[_Part]:
    order = np.argsort(column.codes, kind="stable")
    ends = np.searchsorted(column.codes[order], np.arange(len(column.values) + 1))
    spread_of = _spreads(holdout, gate)
    for code, value in enumerate(column.values):
        rows = order[ends[code] : ends[code + 1]]
        if len(rows):
            candidate, champion = _values(holdout, gate, rows)
            num_groups = num_groups_of(holdout, rows)
            yield _Part(name, value, rows, num_groups, candidate, champion, spread_of(rows))


def num_groups_of(holdout: Holdout | TextHoldout, rows: Ints) -> int | None:
    """Groups of some rows; None: every row stands alone."""
    return None if holdout.groups is None else len(np.unique(holdout.groups[rows]))


def _values(holdout: Holdout | TextHoldout, gate: GateSpec, rows: Ints) -> list[float]:
    """The metric of candidate and champion on some rows."""
    roles = ("candidate", "champion")
    if isinstance(holdout, TextHoldout):
        part = holdout.rows(rows)
        return [value_of(part, role, gate.metric) for role in roles]
    return [float((holdout.predictions[role][rows] == holdout.target[rows]).mean()) for role in roles]


def _spreads(holdout: Holdout | TextHoldout, gate: GateSpec) -> Callable[[Ints], Spread]:
    """How the difference on some rows is spread."""
    if isinstance(holdout, TextHoldout):
        return lambda rows: text_spread(holdout.rows(rows), gate.metric)
    wins, groups = wins_of(holdout, "candidate", "champion"), holdout.groups

    def spread(rows: Ints) -> Spread:
        return share_spread(wins[rows], None if groups is None else np.unique(groups[rows], return_inverse=True)[1])

    return spread


def _z(spread: Spread) -> float:
    return spread.centre / spread.se


def _holm_levels(spreads: Sequence[Spread], num_tests: int, alpha: float) -> list[float]:
    """Confidence of each upper bound (worst first): Holm (1979) steps on to the next level only while it rejects."""
    levels: list[float] = []
    step = 0
    for spread in spreads:
        level = 1 - alpha / (num_tests - step)
        levels.append(level)
        if step == len(levels) - 1 and spread.bound(level) < 0:
            step += 1
    return levels


def _set_apart(holdout: Holdout | TextHoldout, judged: Sequence[_Part], gate: GateSpec) -> dict[tuple[str, str], str]:
    """Reasons of the slices with a large drop that are certainly worse than all other rows, by column and value.

    The gap is computed for slices with a large drop only. The correction counts all judged ones, so that it is never too small.
    """
    gaps = []
    for part in judged:
        if part.difference <= -LARGE_DROP and part.spread.bound(1 - gate.alpha) < 0 and part.n < holdout.num_rows:
            rest = _spreads(holdout, gate)(np.delete(np.arange(holdout.num_rows), part.rows))
            se, df = math.hypot(part.spread.se, rest.se), min(part.spread.df, rest.df)
            gaps.append((part, Spread(part.spread.centre - rest.centre, se, df, 1.0)))
    gaps.sort(key=lambda item: _z(item[1]))
    levels = _holm_levels([gap for _, gap in gaps], len(judged), gate.alpha)
    return {
        part.key: _apart(part, gap, level, gate)
        for (part, gap), level in zip(gaps, levels, strict=True)
        if gap.bound(level) < 0
    }


def _apart(part: _Part, gap: Spread, level: float, gate: GateSpec) -> str:
    return (
        f"{_where(part)} the candidate drops by {-100 * part.difference:.1f} points, far from all other rows: "
        f"upper {level_of(gate.alpha)} bound of the gap {100 * gap.bound(level):+.1f} points (Holm)."
    )


def _worse(part: _Part, level: float, gate: GateSpec) -> str:
    return (
        f"{_where(part)} the candidate is worse by {-100 * part.difference:.1f} points: "
        f"upper {level_of(gate.alpha / 2)} bound {100 * part.spread.bound(level):+.1f} points (Holm)."
    )


def _where(part: _Part) -> str:
    return f"On {part.column}={part.value!r} ({part.n:,} rows)"


def _comparison(part: _Part, upper: float | None, reason: str) -> SliceComparison:
    return SliceComparison(
        column=part.column, value=part.value, n=part.n, champion=part.champion, candidate=part.candidate,
        difference=part.difference, ci_low=part.spread.bound(0.025), ci_high=part.spread.bound(0.975), upper=upper,
        blocked=bool(reason), reason=reason,
    )  # fmt: skip
