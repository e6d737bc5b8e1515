"""Slices on which a model is worse, found automatically and confirmed on rows that the search has not seen.

A regression tree over metadata, length and topic splits one half of the rows by their loss; each node that looks worse than the
rest is a candidate, its conditions cut down to those that matter. The other half confirms or refuses it: one test per candidate,
Benjamini & Hochberg (1995) over all of them. Then the halves change places. The published differences are those of the half that
confirmed, so that they are not flattered by the search. Error rates: benchmarks/slices.py, docs/error-analysis.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student

from ftcore.evaluation.analysis.conditions import Condition, Feature, halves, rows_meeting
from ftcore.evaluation.analysis.slice_search import candidates
from ftcore.evaluation.rows import Bools, Floats, Ints, group_sums

MIN_ROWS = 50
FALSE_RATE = 0.1
"""q of Benjamini & Hochberg: of the slices shown at most this share is expected to be chance."""
MAX_SHARE = 0.5
"""A slice holds at most this share of the rows; more is not a part but the whole without one."""
MIN_EXCESS = 0.02
"""A slice must be worse than the rest by more than this (2 points of a share), beyond chance."""
STILL_WORSE = 0.05
"""p-value of a slice without the rows of stronger ones."""
SEED = 20_261


@dataclass(frozen=True)
class Slice:
    """A part of the rows with a higher mean loss than the rest."""

    conditions: tuple[Condition, ...]
    n: int
    """Rows of both halves."""
    n_confirmed: int
    """Rows of the half that confirmed it; the numbers below are about them alone."""
    loss: float
    """Mean loss inside; for errors the error rate."""
    rest: float
    """Mean loss outside; what it is compared with only where the search was `against_rest`."""
    ci_low: float
    ci_high: float
    """Two-sided 95 % interval of the difference inside - outside (of the loss itself), not corrected for several slices."""
    p_value: float
    """One-sided."""
    q_value: float
    """Benjamini-Hochberg adjusted p-value; at most FALSE_RATE."""

    def __str__(self) -> str:
        return " and ".join(map(str, self.conditions))

    def to_dict(self) -> dict[str, Any]:
        shown = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "conditions"}
        conditions = [{"column": item.column, "kind": item.kind, "value": item.value} for item in self.conditions]
        return {"name": str(self), "conditions": conditions, **shown}


def find_slices(
    features: Sequence[Feature],
    loss: Floats,
    groups: Ints | None = None,
    *,
    against_rest: bool = True,
    min_rows: int = MIN_ROWS,
    min_excess: float = MIN_EXCESS,
    false_rate: float = FALSE_RATE,
    seed: int = SEED,
) -> list[Slice]:
    """Slices with a loss above that of the rest by more than `min_excess`, the largest excess (rows x difference) first.

    Args:
        loss: [rows] larger is worse: 1 for an error, champion right minus candidate right, 1 - score of an answer.
        groups: [rows] dense codes; rows of a group lie in one half, and are no independent evidence.
        against_rest: False: the loss itself has to be above `min_excess`, for a loss that is a difference of two models.
        min_rows: Fewest rows of a slice, both halves together.
    """
    num_rows = len(loss)
    if num_rows < 4 * min_rows or not features or float(np.ptp(loss)) == 0.0:
        return []
    test = _Test(loss, groups, against_rest, min_excess)
    first = halves(groups, num_rows, seed)
    tested: list[tuple[tuple[Condition, ...], Bools, Bools, float]] = []
    for search in (first, ~first):
        for conditions in candidates(
            features,
            loss,
            search,
            groups,
            min_rows=min_rows,
            max_share=MAX_SHARE,
            floor=min_excess,
            against_rest=against_rest,
        ):
            inside = rows_meeting(conditions, features, num_rows)
            is_part = min_rows <= inside.sum() <= MAX_SHARE * num_rows
            if is_part and (inside & ~search).sum() >= max(5, min_rows // 5):
                tested.append((conditions, inside, ~search, test.p_value(inside, ~search)))
    adjusted = benjamini_hochberg([p_value for *_, p_value in tested])
    kept: list[Slice] = []
    known = np.zeros(num_rows, dtype=bool)
    for index in sorted(range(len(tested)), key=lambda index: (tested[index][-1], str(tested[index][0]))):
        conditions, inside, held_out, p_value = tested[index]
        if adjusted[index] > false_rate:
            break
        if test.says_more(inside, held_out, known):
            kept.append(test.described(conditions, inside, held_out, p_value, adjusted[index]))
            known |= inside
    return sorted(kept, key=lambda item: (-_excess(item, against_rest) * item.n, item.p_value))


def _excess(item: Slice, against_rest: bool) -> float:
    return item.loss - item.rest if against_rest else item.loss


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the given order: the smallest false rate at which each would be kept."""
    order = np.argsort(p_values, kind="stable")[::-1]
    adjusted, smallest = [1.0] * len(p_values), 1.0
    for position, index in enumerate(order):
        smallest = min(smallest, p_values[index] * len(p_values) / (len(p_values) - position))
        adjusted[index] = smallest
    return adjusted


@dataclass(frozen=True)
class _Test:
    """The test of one candidate on rows that it was not found on."""

    loss: Floats
    groups: Ints | None
    against_rest: bool
    floor: float

    def p_value(self, inside: Bools, held_out: Bools) -> float:
        """One-sided: how likely is such a loss inside if the slice is worse by no more than the floor."""
        difference, se, df = self.spread(inside, held_out)
        return float(student.sf((difference - self.floor) / se, df)) if se > 0 else 1.0

    def spread(self, inside: Bools, held_out: Bools) -> tuple[float, float, int]:
        """Difference inside - outside (or the loss inside) on the held-out rows, its standard error, degrees of freedom.

        One best and one worst row more on each side (Agresti & Caffo 2000, Am. Stat. 54:280-288), so that no difference is ever
        certain. Rows in groups: the variance is that of sums by group (Miller 2024); Student's t has groups inside - 1 degrees.
        """
        low, high = -1.0 if self.loss.min() < 0 else 0.0, 1.0
        values = np.concatenate([self.loss[held_out], [low, high, low, high]])
        member = np.concatenate([inside[held_out], [True, True, False, False]])
        n, rest = int(member.sum()), int((~member).sum())
        means = float(values[member].mean()), float(values[~member].mean())
        outside = -(values - means[1]) / rest if self.against_rest else np.zeros(len(values))
        effects = np.where(member, (values - means[0]) / n, outside)
        units = None
        if self.groups is not None:
            known = np.unique(self.groups[held_out], return_inverse=True)[1]
            units = np.concatenate([known, known.max(initial=-1) + np.arange(1, 5)])
        num_inside = n if units is None else len(np.unique(units[member]))
        variance = float((group_sums(effects, units) ** 2).sum()) * num_inside / (num_inside - 1)
        return means[0] - (means[1] if self.against_rest else 0.0), math.sqrt(variance), num_inside - 1

    def says_more(self, inside: Bools, held_out: Bools, known: Bools) -> bool:
        """Whether a slice is still worse without the rows of stronger ones; else it only holds some of them."""
        if not known.any():
            return True
        new = inside & ~known
        return bool((new & held_out).sum() >= 5) and self.p_value(new, held_out & ~known) <= STILL_WORSE

    def described(
        self, conditions: tuple[Condition, ...], inside: Bools, held_out: Bools, p_value: float, q_value: float
    ) -> Slice:
        difference, se, df = self.spread(inside, held_out)
        reach = float(student.ppf(0.975, df)) * se
        return Slice(
            conditions=conditions, n=int(inside.sum()), n_confirmed=int((inside & held_out).sum()),
            loss=float(self.loss[inside & held_out].mean()), rest=float(self.loss[~inside & held_out].mean()),
            ci_low=difference - reach, ci_high=difference + reach, p_value=p_value, q_value=q_value,
        )  # fmt: skip
