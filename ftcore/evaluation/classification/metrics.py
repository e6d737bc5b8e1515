"""Classification metrics with their n and a 95 % interval.

Macro metrics average over the classes that occur among the targets. A class that only a model's predictions contain adds
no term of its own: its rows already count as misses of their true class, and so a metric never depends on which other
models are scored beside it. Macro recall is what others call balanced accuracy, and has one name here; micro-averaged precision,
recall and F1 of tasks with one label per row are the accuracy, and are not measured twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import numpy as np

from ftcore.errors import DataRefused
from ftcore.evaluation.classification.probabilities import PROBABILITY_METRICS, measure
from ftcore.evaluation.rows import Floats, Holdout, Ints, group_sums
from ftcore.evaluation.statistics.intervals import (
    Scale,
    delta_interval,
    mean_of_proportions_interval,
    proportion_interval,
    standard_error,
)
from ftcore.evaluation.statistics.jackknife import Jackknife, jackknife
from ftcore.records import Metric

METRICS = ("accuracy", "macro_precision", "macro_recall", "macro_f1", "mcc")
"""Those that predictions alone give."""
_PARTS = {"macro_precision": (0.0, 1.0), "macro_recall": (1.0, 0.0), "macro_f1": (0.5, 0.5)}
"""Shares of targets and of predictions in the denominator."""
_ROW_OF_SHARES = {"macro_precision": 1, "macro_recall": 0}
"""Means of proportions: which of the counts are their rows."""
_MAX_PARTS = 20_000_000  # counts to leave out one by one: 160 MB


def class_counts(target: Ints, predicted: Ints, num_classes: int) -> Floats:
    """[3, classes]: rows whose target is the class, rows predicted as it, rows right in it."""
    right = target[target == predicted]
    return np.stack([np.bincount(codes, minlength=num_classes) for codes in (target, predicted, right)]).astype(float)


def from_counts(name: str, counts: Floats) -> Floats:
    """Any of `METRICS` from counts [..., 3, classes]; NaN where there are no rows."""
    if name == "accuracy":
        with np.errstate(invalid="ignore"):
            share: Floats = counts[..., 2, :].sum(axis=-1) / counts[..., 0, :].sum(axis=-1)
        return share
    return mcc(counts) if name == "mcc" else macro(name, counts)


def macro(name: str, counts: Floats) -> Floats:
    """Macro average from counts [..., 3, classes]; a class without predictions has precision 0 (no division by 0).

    Only classes with at least one target row count. NaN where there is none.
    """
    targets, predicted, right = (counts[..., row, :] for row in range(3))
    of_targets, of_predicted = _PARTS[name]
    below = of_targets * targets + of_predicted * predicted
    values = np.divide(right, below, out=np.zeros_like(right), where=below > 0)
    present = targets > 0
    with np.errstate(invalid="ignore"):
        average: Floats = np.where(present, values, 0.0).sum(axis=-1) / present.sum(axis=-1)
    return average


def mcc(counts: Floats) -> Floats:
    """Matthews correlation from counts [..., 3, classes], -1 to 1 (Gorodkin 2004, Comput. Biol. Chem. 28:367-374).

    0 where all targets, or all predictions, are of one class.
    """
    above, spread, _ = _mcc_parts(counts)
    return np.divide(above, np.sqrt(spread), out=np.zeros_like(above), where=spread > 0)


def _mcc_parts(counts: Floats) -> tuple[Floats, Floats, tuple[Floats, Floats]]:
    """Covariance of targets and predictions, product of their variances, and the variances; all times n^2."""
    targets, predicted, right = (counts[..., row, :] for row in range(3))
    num_rows = targets.sum(axis=-1)
    above: Floats = right.sum(axis=-1) * num_rows - (targets * predicted).sum(axis=-1)
    spreads = [num_rows**2 - (share**2).sum(axis=-1) for share in (targets, predicted)]
    return above, spreads[0] * spreads[1], (spreads[0], spreads[1])


def influence(name: str, target: Ints, predicted: Ints, counts: Floats) -> Floats:
    """[rows] influence of each row on a metric: value of the metric moves by about influence / n when a row is added.

    First-order (delta method) terms; they sum to 0. Standard errors and the bootstrap's acceleration come from them.
    """
    num_rows = len(target)
    right = target == predicted
    if name == "accuracy":
        accuracy: Floats = right - right.mean()
        return accuracy
    if name == "mcc":
        return _mcc_influence(target, predicted, counts)
    targets, predictions, hits = counts
    present = targets > 0
    of_target, of_predicted = _PARTS[name]
    below = of_target * targets + of_predicted * predictions
    usable = present & (below > 0)
    per_hit = np.divide(1.0, below, out=np.zeros_like(below), where=usable)
    per_row = hits * per_hit**2  # how the value falls when the class's denominator grows by one
    effect = right * per_hit[target] - of_target * per_row[target] - of_predicted * per_row[predicted]
    scaled: Floats = effect * num_rows / present.sum()
    return scaled


def _mcc_influence(target: Ints, predicted: Ints, counts: Floats) -> Floats:
    targets, predictions, hits = counts
    num_rows, (above, spread, (of_targets, of_predictions)) = len(target), _mcc_parts(counts)
    if spread <= 0:
        return np.zeros(num_rows)
    moved = (target == predicted) * num_rows + hits.sum() - targets[predicted] - predictions[target]
    wider = (num_rows - targets[target]) / of_targets + (num_rows - predictions[predicted]) / of_predictions
    effect: Floats = num_rows * (moved / math.sqrt(spread) - above / math.sqrt(spread) * wider)
    return effect


def label_metrics(holdout: Holdout) -> tuple[str, ...]:
    """Metrics that some model has: a guard may name each, a floor those of which more is better."""
    measured = PROBABILITY_METRICS if holdout.probabilities else ()
    return (*METRICS, *measured, *dict.fromkeys(name for found in holdout.row_metrics.values() for name in found))


def own_metrics(holdout: Holdout) -> list[str]:
    """A user's own metrics that both candidate and champion have."""
    ours, theirs = (holdout.row_metrics.get(role, {}) for role in ("candidate", "champion"))
    return [name for name in ours if name in theirs]


def value_of(holdout: Holdout, role: str, name: str) -> float:
    """One metric of one model on all rows; NaN where the model has no such metric."""
    if name in METRICS:
        return float(from_counts(name, _counts(holdout, role)))
    if name in PROBABILITY_METRICS:
        found = measure(name, holdout.probabilities[role]) if role in holdout.probabilities else None
        return math.nan if found is None or isinstance(found, str) else found.value
    rows = holdout.row_metrics.get(role, {}).get(name)
    return math.nan if rows is None else float(rows.mean())


def _counts(holdout: Holdout, role: str) -> Floats:
    return class_counts(holdout.target, holdout.predictions[role], len(holdout.classes))


def score(holdout: Holdout, role: str) -> tuple[Metric, ...]:
    """All metrics of one model, each with n and a 95 % interval; those that are not defined are left out (`left_out`).

    Accuracy: Wilson, on the effective number of rows where rows come in groups. Macro precision and recall: the Jeffreys limits
    of the classes put together. Macro F1 and MCC: jackknife on the logit scale (MCC: Fisher's z). From the centre of all four
    the jackknife's bias is taken. ROC-AUC, Brier score and a user's own metrics: delta method on the logit scale; ROC-AUC hangs
    on the few rows of rare classes and has fewer degrees of freedom. ECE: see `probabilities.py`.

    Raises:
        DataRefused: There are no rows, or a metric is not a finite number.
    """
    if holdout.num_rows == 0:
        raise DataRefused(f"The holdout of {role} is empty: nothing can be measured.")
    metrics = tuple(
        Metric(name=name, value=value, n=holdout.num_rows, ci_low=low, ci_high=high)
        for name, value, (low, high) in _scores(holdout, role)
    )
    for metric in metrics:
        if not all(math.isfinite(number) for number in (metric.value, metric.ci_low, metric.ci_high)):
            raise DataRefused(f"{metric.name} of {role} is not a finite number.")
    return metrics


def _scores(holdout: Holdout, role: str) -> Iterator[tuple[str, float, tuple[float, float]]]:
    target, predicted, counts = holdout.target, holdout.predictions[role], _counts(holdout, role)
    yield (
        "accuracy",
        value_of(holdout, role, "accuracy"),
        proportion_interval((target == predicted) * 1.0, holdout.groups),
    )
    effective = rows_of_mean(counts[0], holdout.groups)
    leave_out = _LeaveOneOut(target, predicted, counts, holdout.groups)
    for name in METRICS[1:]:
        value, found = float(from_counts(name, counts)), leave_out.of(name)
        lowest = -1 if name == "mcc" else 0
        inside = lowest < value < 1 and lowest < value - found.bias < 1
        centre = value - found.bias if inside else value
        if name in _ROW_OF_SHARES:
            present = counts[0] > 0
            right, rows = counts[2, present], counts[_ROW_OF_SHARES[name], present]
            limits = mean_of_proportions_interval(right, rows, centre, leave_out.design(name), len(found.sums))
        else:
            scale: Scale = "fisher" if name == "mcc" else "logit"
            limits = delta_interval(centre, found.sums, holdout.num_rows, scale, effective)
        yield name, value, limits
    for name in PROBABILITY_METRICS if role in holdout.probabilities else ():
        measured = measure(name, holdout.probabilities[role])
        if not isinstance(measured, str):
            yield name, measured.value, measured.interval(holdout.groups, effective)
    for name, rows in holdout.row_metrics.get(role, {}).items():
        value = float(rows.mean())
        sums = group_sums(rows - value, holdout.groups)
        yield name, value, delta_interval(value, sums, holdout.num_rows, "logit", float(len(sums)))


class _LeaveOneOut:
    """Jackknife of metrics of counts; the delta method where there is too much to leave out one by one."""

    def __init__(self, target: Ints, predicted: Ints, counts: Floats, groups: Ints | None) -> None:
        self.target, self.predicted, self.counts, self.groups = target, predicted, counts, groups
        num_classes = counts.shape[1]
        self.row_parts = _parts_of(target, predicted, None, num_classes)
        self.parts = self.row_parts if groups is None else _parts_of(target, predicted, groups, num_classes)

    def of(self, name: str) -> Jackknife:
        """Of rows; of groups where rows come in groups."""
        return self._left_out(name, self.parts, self.groups)

    def design(self, name: str) -> float:
        """Variance over that of the same rows standing alone, at least 1; where nothing varies, a group counts as one row."""
        if self.groups is None:
            return 1.0
        num_rows, found = len(self.target), self.of(name)
        alone = standard_error(self._left_out(name, self.row_parts, None).sums, num_rows)
        if alone == 0.0:
            return num_rows / len(found.sums)
        return max(1.0, (standard_error(found.sums, num_rows) / alone) ** 2)

    def _left_out(self, name: str, parts: tuple[Floats, Ints] | None, groups: Ints | None) -> Jackknife:
        if parts is None:
            return Jackknife(0.0, group_sums(influence(name, self.target, self.predicted, self.counts), groups))
        return jackknife(partial(from_counts, name), self.counts, *parts, len(self.target))


def _parts_of(target: Ints, predicted: Ints, groups: Ints | None, num_classes: int) -> tuple[Floats, Ints] | None:
    """Counts [units, 3, classes] of each distinct row, and how many of them there are; of each group. None: too many to hold."""
    if groups is None:
        _, first, copies = np.unique(target * num_classes + predicted, return_index=True, return_counts=True)
        owner, target, predicted = np.arange(len(first)), target[first], predicted[first]
    else:
        owner, copies = groups, np.ones(int(groups.max()) + 1, dtype=np.int64)
    if len(copies) * 3 * num_classes > _MAX_PARTS:
        return None
    parts, right = np.zeros((len(copies), 3, num_classes)), target == predicted
    for row, (codes, owners) in enumerate(((target, owner), (predicted, owner), (target[right], owner[right]))):
        np.add.at(parts[:, row], (owners, codes), 1)
    return parts, copies


def rows_of_mean(targets: Floats, groups: Ints | None) -> float:
    """Rows that tell a proportion as surely as these classes [rows of each] tell the mean of theirs; at most one per group."""
    present = targets[targets > 0]
    rows = len(present) ** 2 / float((1 / present).sum())
    return rows if groups is None else min(rows, float(groups.max()) + 1)


def left_out(holdout: Holdout, role: str) -> dict[str, str]:
    """By metric: why a model does not have it."""
    if role not in holdout.probabilities:
        return dict.fromkeys(PROBABILITY_METRICS, "the model gives no probabilities")
    found = {name: measure(name, holdout.probabilities[role]) for name in PROBABILITY_METRICS}
    return {name: reason for name, reason in found.items() if isinstance(reason, str)}
