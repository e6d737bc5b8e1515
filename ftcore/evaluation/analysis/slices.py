"""Slices on which a model is worse, found automatically and confirmed on rows that the search has not seen.

A regression tree over metadata, length and topic splits one half of the rows by their loss; each node that looks worse than the
rest is a candidate, its conditions cut down to those that matter. The other half confirms or refuses it: one test per candidate,
Benjamini & Hochberg (1995) over all of them. Then the halves change places. The published differences are those of the half that
confirmed, so that they are not flattered by the search. Error rates: benchmarks/slices.py, docs/error-analysis.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student
from sklearn.tree import DecisionTreeRegressor

from ftcore.evaluation.analysis.conditions import Bools, Condition, Feature, halves, rows_meeting
from ftcore.evaluation.rows import Floats, Ints, group_sums

MIN_ROWS = 50
FALSE_RATE = 0.1
"""q of Benjamini & Hochberg: of the slices shown at most this share is expected to be chance."""
MAX_LEAVES = 12
MAX_CANDIDATES = 4
"""Per direction: each candidate more makes it harder for all to be confirmed."""
MIN_Z = 1.0
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
    """Mean loss outside."""
    ci_low: float
    ci_high: float
    """Two-sided 95 % interval of the difference inside - outside, not corrected for several slices."""
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
    min_rows: int = MIN_ROWS,
    min_excess: float = MIN_EXCESS,
    false_rate: float = FALSE_RATE,
    seed: int = SEED,
) -> list[Slice]:
    """Slices with a loss above that of the rest by more than `min_excess`, the largest excess (rows x difference) first.

    Args:
        loss: [rows] larger is worse: 1 for an error, champion right minus candidate right, 1 - score of an answer.
        groups: [rows] dense codes; rows of a group lie in one half, and are no independent evidence.
        min_rows: Fewest rows of a slice, both halves together.
    """
    num_rows = len(loss)
    if num_rows < 4 * min_rows or not features or float(np.ptp(loss)) == 0.0:
        return []
    first = halves(groups, num_rows, seed)
    tested: list[tuple[tuple[Condition, ...], Bools, Bools, float]] = []
    for search in (first, ~first):
        for conditions in _candidates(features, loss, search, min_rows):
            inside = rows_meeting(conditions, features, num_rows)
            if inside.sum() >= min_rows and (inside & ~search).sum() >= max(5, min_rows // 5):
                p_value = _p_value(loss, inside, ~search, groups, min_excess)
                tested.append((conditions, inside, ~search, p_value))
    adjusted = benjamini_hochberg([p_value for *_, p_value in tested])
    kept: list[Slice] = []
    known = np.zeros(num_rows, dtype=bool)
    for index in sorted(range(len(tested)), key=lambda index: (tested[index][-1], str(tested[index][0]))):
        conditions, inside, held_out, p_value = tested[index]
        if adjusted[index] > false_rate:
            break
        if _says_more(loss, inside, held_out, groups, known, min_excess):
            kept.append(_described(conditions, loss, inside, held_out, groups, p_value, adjusted[index]))
            known |= inside
    return sorted(kept, key=lambda item: (-(item.loss - item.rest) * item.n, item.p_value))


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the given order: the smallest false rate at which each would be kept."""
    order = np.argsort(p_values, kind="stable")[::-1]
    adjusted, smallest = [1.0] * len(p_values), 1.0
    for position, index in enumerate(order):
        smallest = min(smallest, p_values[index] * len(p_values) / (len(p_values) - position))
        adjusted[index] = smallest
    return adjusted


def _candidates(features: Sequence[Feature], loss: Floats, search: Bools, min_rows: int) -> list[tuple[Condition, ...]]:
    """Conditions of the nodes of a tree over the searched half that look worse than the rest, the most significant first."""
    table = np.stack([feature.values for feature in features], axis=1)[search]
    tree = DecisionTreeRegressor(max_leaf_nodes=MAX_LEAVES, min_samples_leaf=max(5, min_rows // 2), random_state=0)
    tree.fit(table, loss[search])
    seen: dict[frozenset[Condition], float] = {}
    masks = _Masks(features, search)
    for path in _paths(tree.tree_, features):
        conditions = _simplified(path, loss[search], masks)
        z = _z(loss[search], masks.all(conditions))
        if conditions and z >= MIN_Z:
            seen[frozenset(conditions)] = z
    best = sorted(seen, key=lambda conditions: (-seen[conditions], len(conditions), sorted(map(str, conditions))))
    return [tuple(sorted(conditions, key=str)) for conditions in best[:MAX_CANDIDATES]]


class _Masks:
    """Which searched rows meet which conditions."""

    def __init__(self, features: Sequence[Feature], search: Bools) -> None:
        self.features, self.search = features, search
        self.known: dict[Condition, Bools] = {}

    def all(self, conditions: Sequence[Condition]) -> Bools:
        inside = np.ones(int(self.search.sum()), dtype=bool)
        for condition in conditions:
            if condition not in self.known:
                self.known[condition] = rows_meeting([condition], self.features, len(self.search))[self.search]
            inside &= self.known[condition]
        return inside


def _paths(tree: Any, features: Sequence[Feature]) -> Iterator[tuple[Condition, ...]]:
    """For each node but the root the conditions on the way to it."""
    waiting: list[tuple[int, tuple[Condition, ...]]] = [(0, ())]
    while waiting:
        node, path = waiting.pop()
        if path:
            yield path
        if tree.children_left[node] == tree.children_right[node]:
            continue
        feature, threshold = features[tree.feature[node]], float(tree.threshold[node])
        waiting.append((int(tree.children_left[node]), (*path, feature.condition(threshold, above=False))))
        waiting.append((int(tree.children_right[node]), (*path, feature.condition(threshold, above=True))))


def _simplified(path: tuple[Condition, ...], loss: Floats, masks: _Masks) -> tuple[Condition, ...]:
    """The path without conditions that do not make the slice stand out more."""
    kept = list(dict.fromkeys(path))
    z = _z(loss, masks.all(kept))
    while len(kept) > 1:
        shorter = [[other for other in kept if other != condition] for condition in kept]
        values = [_z(loss, masks.all(conditions)) for conditions in shorter]
        best = int(np.argmax(values))
        if values[best] < z:
            break
        kept, z = shorter[best], values[best]
    return tuple(kept)


def _z(loss: Floats, inside: Bools) -> float:
    """Difference of means inside - outside in standard errors of equal spread; minus infinity where one side is empty."""
    n, rest = int(inside.sum()), int((~inside).sum())
    if n == 0 or rest == 0:
        return -math.inf
    spread = float(loss.std()) * math.sqrt(1 / n + 1 / rest)
    return float(loss[inside].mean() - loss[~inside].mean()) / spread if spread > 0 else 0.0


def _p_value(loss: Floats, inside: Bools, held_out: Bools, groups: Ints | None, floor: float) -> float:
    """One-sided: how likely is such a loss inside if the slice is worse by no more than `floor`."""
    difference, se, df = _spread(loss, inside, held_out, groups)
    return float(student.sf((difference - floor) / se, df)) if se > 0 else 1.0


def _spread(loss: Floats, inside: Bools, held_out: Bools, groups: Ints | None) -> tuple[float, float, int]:
    """Difference inside - outside on the held-out rows, its standard error and degrees of freedom.

    One best and one worst row more on each side (Agresti & Caffo 2000, Am. Stat. 54:280-288), so that no difference is ever
    certain. Rows in groups: the variance is that of sums by group (Miller 2024), Student's t has groups inside - 1 degrees.
    """
    low, high = -1.0 if loss.min() < 0 else 0.0, 1.0
    values = np.concatenate([loss[held_out], [low, high, low, high]])
    member = np.concatenate([inside[held_out], [True, True, False, False]])
    n, rest = int(member.sum()), int((~member).sum())
    means = float(values[member].mean()), float(values[~member].mean())
    effects = np.where(member, (values - means[0]) / n, -(values - means[1]) / rest)
    units = None
    if groups is not None:
        known = np.unique(groups[held_out], return_inverse=True)[1]
        units = np.concatenate([known, known.max(initial=-1) + np.arange(1, 5)])
    num_inside = n if units is None else len(np.unique(units[member]))
    variance = float((group_sums(effects, units) ** 2).sum()) * num_inside / (num_inside - 1)
    return means[0] - means[1], math.sqrt(variance), num_inside - 1


def _described(
    conditions: tuple[Condition, ...], loss: Floats, inside: Bools, held_out: Bools, groups: Ints | None,
    p_value: float, q_value: float,
) -> Slice:  # fmt: skip
    difference, se, df = _spread(loss, inside, held_out, groups)
    reach = float(student.ppf(0.975, df)) * se
    return Slice(
        conditions=conditions, n=int(inside.sum()), n_confirmed=int((inside & held_out).sum()),
        loss=float(loss[inside & held_out].mean()), rest=float(loss[~inside & held_out].mean()),
        ci_low=difference - reach, ci_high=difference + reach, p_value=p_value, q_value=q_value,
    )  # fmt: skip


def _says_more(
    loss: Floats, inside: Bools, held_out: Bools, groups: Ints | None, known: Bools, min_excess: float
) -> bool:
    """Whether a slice is still worse without the rows of stronger ones; else it only holds some of them."""
    if not known.any():
        return True
    new = inside & ~known
    if (new & held_out).sum() < 5:
        return False
    return _p_value(loss, new, held_out & ~known, groups, min_excess) <= STILL_WORSE
