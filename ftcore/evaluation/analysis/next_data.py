"""What data to add next: where the errors are, and where more rows are likely to remove them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ftcore.evaluation.analysis.confusions import Costs, cost_of
from ftcore.evaluation.analysis.holdout_rows import HoldoutRows
from ftcore.evaluation.analysis.learning import learnability
from ftcore.evaluation.analysis.probe import Probe
from ftcore.evaluation.analysis.slices import Slice

Row = Mapping[str, Any]
MAX_SHOWN = 12
_PRIOR_ROWS = 10.0
"""A class's own curve is pulled to that of all classes as if this many rows more had been tested."""
_DOUBTED = 0.3
_BEFORE = 0.4  # share of the training rows that a class's curve starts from


def next_data(
    rows: HoldoutRows, train: Sequence[Row], probe: Probe | None, slices: Sequence[tuple[Slice, int]], costs: Costs,
    doubted: Collection[str] = (),
) -> list[dict[str, Any]]:  # fmt: skip
    """Classes and slices ranked by error mass x learnability: the cost of errors on the holdout that twice the training rows of
    that kind would likely take away. Each has the number of rows to collect and a reason. Of generated text slices alone.

    Args:
        slices: Found slices with the number of holdout rows that fail in them.
        doubted: Ids of holdout rows whose own label is in doubt.
    """
    overall = _overall(probe)
    found = _slices(rows, train, slices, overall, costs)
    if not rows.generates:
        found += _classes(rows, train, probe, overall, costs, doubted)
    found.sort(key=lambda item: (-item["avoided"], item["name"]))
    return found[:MAX_SHOWN]


def _overall(probe: Probe | None) -> float:
    """Share of errors that twice the data would take away, over all classes; 0.2 (power 1/3) where no curve is known."""
    before = _before(probe)
    if probe is None or before is None:
        return 0.2
    accuracy = probe.right.mean(axis=1)
    return learnability(float(accuracy[before]), probe.num_train[before], float(accuracy[-1]), probe.num_train[-1], 0.2)


def _before(probe: Probe | None) -> int | None:
    """Which of the probe's sizes the curves of classes start from."""
    if probe is None or len(probe.num_train) < 2:
        return None
    wanted = _BEFORE * probe.num_train[-1]
    return int(np.argmin([abs(size - wanted) for size in probe.num_train[:-1]]))


def _classes(
    rows: HoldoutRows, train: Sequence[Row], probe: Probe | None, overall: float, costs: Costs, doubted: Collection[str]
) -> list[dict[str, Any]]:
    predicted = rows.models["candidate"].predictions
    sizes = Counter(str(row["label"]) for row in train)
    targets = np.array(rows.targets, dtype=object)
    total = sum(cost_of(costs, target, other) for target, other in zip(rows.targets, predicted, strict=True))
    found = []
    for label in sorted(set(rows.targets)):
        inside = np.flatnonzero(targets == label)
        wrong = [int(row) for row in inside if predicted[row] != label]
        mass = sum(cost_of(costs, label, predicted[row]) for row in wrong)
        if not mass:
            continue
        num_doubted = sum(rows.ids[row] in doubted for row in wrong)
        falls, curve = _class_curve(probe, inside, overall)
        reason = (
            f"{len(wrong)} of {len(inside)} holdout rows wrong, {100 * mass / total:.0f} % of all "
            f"{'costs' if costs else 'errors'}; {sizes[label]:,} training rows{curve}"
        )
        labels_first = num_doubted > _DOUBTED * len(wrong)
        if labels_first:
            are = "is a row" if num_doubted == 1 else "are rows"
            reason += f"; {num_doubted} of its errors {are} whose own label is in doubt: review those first"
        found.append({
            "kind": "class", "name": label, "num_train": sizes[label], "num_rows": max(sizes[label], 20), "mass": mass,
            "learnability": falls, "avoided": mass * falls, "unit": "costs" if costs else "errors", "reason": reason,
            "labels_first": labels_first,
        })  # fmt: skip
    return found


def _class_curve(probe: Probe | None, inside: np.ndarray, overall: float) -> tuple[float, str]:
    """Learnability of a class from the probe's right rows of it, and the words for it."""
    before = _before(probe)
    if probe is None or before is None:
        return overall, ""
    n = len(inside)
    then, now = (float(probe.right[at][inside].sum()) for at in (before, -1))
    means = probe.right.mean(axis=1)
    pulled = [
        (value + _PRIOR_ROWS * mean) / (n + _PRIOR_ROWS) for value, mean in ((then, means[before]), (now, means[-1]))
    ]
    falls = learnability(float(pulled[0]), probe.num_train[before], float(pulled[1]), probe.num_train[-1], overall)
    share = probe.num_train[before] / probe.num_train[-1]
    return (
        falls,
        f"; the probe's errors on it went from {n - then:.0f} to {n - now:.0f} between {100 * share:.0f} % and all of its rows",
    )


def _slices(
    rows: HoldoutRows, train: Sequence[Row], slices: Sequence[tuple[Slice, int]], overall: float, costs: Costs
) -> list[dict[str, Any]]:
    """A slice's mass is what it has above the rate of the rest, each error at the mean cost: the rest of its errors is as hard as
    everywhere."""
    predicted = rows.models["candidate"].predictions
    unit = "loss" if rows.generates else "costs" if costs else "errors"
    failing = "among the lowest fifth" if rows.generates else "wrong"
    of_what = "mean loss " if rows.generates else ""
    paid = [cost_of(costs, *pair) for pair in zip(rows.targets, predicted, strict=True) if pair[0] != pair[1]]
    mean_cost = 1.0 if rows.generates else sum(paid) / max(1, len(paid))
    found = []
    for item, num_wrong in slices:
        mass = max(0.0, (item.loss - item.rest) * item.n) * mean_cost
        like_it = round(len(train) * item.n / rows.num_rows)
        found.append({
            "kind": "slice", "name": str(item), "num_train": None, "num_rows": max(like_it, 20), "mass": mass,
            "learnability": overall, "avoided": mass * overall, "unit": unit, "labels_first": False,
            "reason": (
                f"{num_wrong} of {item.n} holdout rows {failing}; {of_what}{100 * item.loss:.0f} % against "
                f"{100 * item.rest:.0f} % elsewhere on the rows that confirmed it; "
                f"about {like_it:,} training rows if its share there is the same"
            ),
        })  # fmt: skip
    return found
