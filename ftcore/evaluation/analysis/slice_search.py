"""Candidates for slices: nodes of a regression tree over one half of the rows, their conditions cut down to those that matter."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.tree import DecisionTreeRegressor

from ftcore.evaluation.analysis.conditions import Bools, Condition, Feature, rows_meeting
from ftcore.evaluation.rows import Floats

MAX_LEAVES = 12
MAX_CANDIDATES = 4
"""Per direction: each candidate more makes it harder for all to be confirmed."""
MIN_Z = 1.0


def candidates(
    features: Sequence[Feature], loss: Floats, search: Bools, min_rows: int, against_rest: bool
) -> list[tuple[Condition, ...]]:
    """Conditions of the nodes of a tree over the searched half that look worse, the most significant first."""
    table = np.stack([feature.values for feature in features], axis=1)[search]
    tree = DecisionTreeRegressor(max_leaf_nodes=MAX_LEAVES, min_samples_leaf=max(5, min_rows // 2), random_state=0)
    tree.fit(table, loss[search])
    seen: dict[frozenset[Condition], float] = {}
    masks = _Masks(features, search)
    for path in _paths(tree.tree_, features):
        conditions = _simplified(path, loss[search], masks, against_rest)
        z = _z(loss[search], masks.all(conditions), against_rest)
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


def _simplified(path: tuple[Condition, ...], loss: Floats, masks: _Masks, against_rest: bool) -> tuple[Condition, ...]:
    """The path without conditions that do not make the slice stand out more."""
    kept = list(dict.fromkeys(path))
    z = _z(loss, masks.all(kept), against_rest)
    while len(kept) > 1:
        shorter = [[other for other in kept if other != condition] for condition in kept]
        values = [_z(loss, masks.all(conditions), against_rest) for conditions in shorter]
        best = int(np.argmax(values))
        if values[best] < z:
            break
        kept, z = shorter[best], values[best]
    return tuple(kept)


def _z(loss: Floats, inside: Bools, against_rest: bool) -> float:
    """Excess of the mean inside in standard errors of equal spread; minus infinity where a side is empty."""
    n, rest = int(inside.sum()), int((~inside).sum())
    if n == 0 or rest == 0:
        return -math.inf
    spread = float(loss.std()) * math.sqrt(1 / n + (1 / rest if against_rest else 0.0))
    compared = float(loss[~inside].mean()) if against_rest else 0.0
    return (float(loss[inside].mean()) - compared) / spread if spread > 0 else 0.0
