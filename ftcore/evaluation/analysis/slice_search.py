"""Candidates for slices, from one half of the rows: single conditions and nodes of a regression tree, as short as they can be.

The more conditions there are to choose from, the more of them look bad by luck: the best of M alike reaches a z^2 of about 2 ln M
(Foster & George 1994, Ann. Stat. 22:1947-1975). So each condition of a slice costs ln M of its z^2: half of that, since the other
half of the rows refuses what is chance, but cannot bring back what was left out here. Without a price long conditions that fit
the searched half take all places, and nothing is left to be confirmed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.tree import DecisionTreeRegressor

from ftcore.evaluation.analysis.conditions import Condition, Feature, conditions_of, rows_meeting
from ftcore.evaluation.rows import Bools, Floats, Ints

MAX_LEAVES = 12
MAX_CANDIDATES = 4
"""Per direction: each candidate more makes it harder for all to be confirmed."""
MIN_Z = 1.0


def candidates(
    features: Sequence[Feature],
    loss: Floats,
    search: Bools,
    groups: Ints | None = None,
    *,
    min_rows: int,
    max_share: float = 1.0,
    floor: float = 0.0,
    against_rest: bool = True,
) -> list[tuple[Condition, ...]]:
    """Conditions of parts of the searched half that look worse by more than `floor`, the most convincing for their length first.

    Args:
        search: [rows] the searched half.
        groups: [rows] rows of a group are no independent evidence.
        max_share: Of the searched rows in a slice.
        against_rest: Worse than the rest; False: the loss itself above the floor.
    """
    table = np.stack([feature.values for feature in features], axis=1)[search]
    tree = DecisionTreeRegressor(max_leaf_nodes=MAX_LEAVES, min_samples_leaf=max(5, min_rows // 2), random_state=0)
    tree.fit(table, loss[search])
    searched = _Searched(features, loss, search, groups, floor, against_rest)
    seen: dict[frozenset[Condition], float] = {}
    for path in (*((condition,) for condition in searched.singles), *_paths(tree.tree_, features)):
        conditions = searched.simplified(path)
        if searched.z(conditions) >= MIN_Z and searched.mask(conditions).mean() <= max_share:
            seen[frozenset(conditions)] = searched.merit(conditions)
    best = sorted(seen, key=lambda conditions: (-seen[conditions], len(conditions), sorted(map(str, conditions))))
    return [tuple(sorted(conditions, key=str)) for conditions in best[:MAX_CANDIDATES]]


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


class _Searched:
    """The searched half: which of its rows meet which conditions, and how much worse those are."""

    def __init__(
        self,
        features: Sequence[Feature],
        loss: Floats,
        search: Bools,
        groups: Ints | None,
        floor: float,
        against_rest: bool,
    ) -> None:
        self.features, self.search, self.loss = features, search, loss[search]
        self.floor, self.against_rest = floor, against_rest
        self.singles = [condition for feature in features for condition in conditions_of(feature)]
        self.price = math.log(max(1, len(self.singles)))
        self.variance = float(self.loss.var())
        self.groups = None if groups is None else np.unique(groups[search], return_inverse=True)[1]
        self.alike = 0.0 if self.groups is None else correlation_in_groups(self.loss, self.groups)
        self.known: dict[Condition, Bools] = {}
        self.measured: dict[frozenset[Condition], float] = {}

    def mask(self, conditions: Sequence[Condition]) -> Bools:
        """[searched rows] which meet all conditions."""
        inside = np.ones(len(self.loss), dtype=bool)
        for condition in conditions:
            if condition not in self.known:
                self.known[condition] = rows_meeting([condition], self.features, len(self.search))[self.search]
            inside &= self.known[condition]
        return inside

    def simplified(self, path: Sequence[Condition]) -> tuple[Condition, ...]:
        """The path without conditions that are not worth their price."""
        kept = list(dict.fromkeys(path))
        merit = self.merit(kept)
        while len(kept) > 1:
            shorter = [[other for other in kept if other != condition] for condition in kept]
            merits = [self.merit(conditions) for conditions in shorter]
            best = int(np.argmax(merits))
            if merits[best] < merit:
                break
            kept, merit = shorter[best], merits[best]
        return tuple(kept)

    def merit(self, conditions: Sequence[Condition]) -> float:
        """z^2, negative for better rows, less the price of the conditions."""
        z = self.z(conditions)
        return math.copysign(z * z, z) - self.price * len(conditions)

    def z(self, conditions: Sequence[Condition]) -> float:
        """Excess of the mean inside beyond the floor in standard errors of equal spread; minus infinity where a side is empty."""
        key = frozenset(conditions)
        if key not in self.measured:
            self.measured[key] = self._measure(self.mask(conditions))
        return self.measured[key]

    def _measure(self, inside: Bools) -> float:
        if inside.all() or not inside.any():
            return -math.inf
        compared = float(self.loss[~inside].mean()) if self.against_rest else 0.0
        per_row = self._per_row(inside) + (self._per_row(~inside) if self.against_rest else 0.0)
        excess = float(self.loss[inside].mean()) - compared - self.floor
        return excess / math.sqrt(self.variance * per_row) if self.variance > 0 else 0.0

    def _per_row(self, part: Bools) -> float:
        """One over the effective number of rows (Kish 1965): rows of a group are as alike in every part as in all."""
        num_rows = float(part.sum())
        if self.groups is None:
            return 1 / num_rows
        sizes = np.bincount(self.groups[part]).astype(float)
        return (1 + self.alike * (float((sizes**2).sum()) / num_rows - 1)) / num_rows


def correlation_in_groups(values: Floats, groups: Ints) -> float:
    """Correlation of two rows of one group, 0 to 1; 0 where no group has two rows."""
    centred = values - values.mean()
    sums, sizes = np.bincount(groups, weights=centred), np.bincount(groups).astype(float)
    pairs, squares = float((sizes * (sizes - 1)).sum()), float((centred**2).sum())
    if pairs == 0 or squares == 0:
        return 0.0
    return min(1.0, max(0.0, (float((sums**2).sum()) - squares) / pairs / (squares / len(values))))
