"""Classification metrics with their n and a 95 % interval; tables per class and per slice.

Macro metrics average over the classes that occur among the targets. A class that only a model's predictions contain adds
no term of its own: its rows already count as misses of their true class, and so a metric never depends on which other
models are scored beside it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ftcore.errors import DataRefused
from ftcore.evaluation.rows import Floats, Holdout, Ints, group_sums
from ftcore.evaluation.statistics.intervals import design_effect, wilson
from ftcore.evaluation.statistics.power import normal_quantile
from ftcore.evaluation.statistics.resampling import Interval, Units, bootstrap_interval, can_bootstrap, units_of
from ftcore.records import Metric

METRICS = ("accuracy", "macro_precision", "macro_recall", "macro_f1")
SMALL_SLICES_SHOWN = 50
"""Slices are shown largest first; beyond this many, the rest is counted only."""


def class_counts(target: Ints, predicted: Ints, num_classes: int) -> Floats:
    """[3, classes]: rows whose target is the class, rows predicted as it, rows right in it."""
    right = target[target == predicted]
    return np.stack([np.bincount(codes, minlength=num_classes) for codes in (target, predicted, right)]).astype(float)


def macro(name: str, counts: Floats) -> Floats:
    """Macro average from counts [..., 3, classes]; a class without predictions has precision 0 (no division by 0).

    Only classes with at least one target row count. NaN where there is none.
    """
    targets, predicted, right = (counts[..., row, :] for row in range(3))
    below = {"macro_precision": predicted, "macro_recall": targets, "macro_f1": (targets + predicted) / 2}[name]
    values = np.divide(right, below, out=np.zeros_like(right), where=below > 0)
    present = targets > 0
    with np.errstate(invalid="ignore"):
        average: Floats = np.where(present, values, 0.0).sum(axis=-1) / present.sum(axis=-1)
    return average


def influence(name: str, target: Ints, predicted: Ints, counts: Floats) -> Floats:
    """[rows] influence of each row on a metric: value of the metric moves by about influence / n when a row is added.

    First-order (delta method) terms; they sum to 0. Standard errors and the bootstrap's acceleration come from them.
    """
    num_rows = len(target)
    right = target == predicted
    if name == "accuracy":
        accuracy: Floats = right - right.mean()
        return accuracy
    targets, predictions, hits = counts
    present = targets > 0
    below = {"macro_precision": predictions, "macro_recall": targets, "macro_f1": (targets + predictions) / 2}[name]
    usable = present & (below > 0)
    per_hit = np.divide(1.0, below, out=np.zeros_like(below), where=usable)
    per_row = hits * per_hit**2  # how the value falls when the class's denominator grows by one
    share_target, share_predicted = {"macro_precision": (0.0, 1.0), "macro_recall": (1.0, 0.0), "macro_f1": (0.5, 0.5)}[
        name
    ]
    effect = right * per_hit[target] - share_target * per_row[target] - share_predicted * per_row[predicted]
    scaled: Floats = effect * num_rows / present.sum()
    return scaled


def score(holdout: Holdout, role: str) -> tuple[Metric, ...]:
    """All metrics of one model, each with n and a 95 % interval.

    Accuracy: Wilson, on the effective number of rows where rows come in groups. Macro metrics: BCa bootstrap of rows (of
    groups), or the delta method where there are too many rows to resample.

    Raises:
        DataRefused: There are no rows, or a metric is not a finite number.
    """
    target, predicted, num_rows = holdout.target, holdout.predictions[role], holdout.num_rows
    if num_rows == 0:
        raise DataRefused(f"The holdout of {role} is empty: nothing can be measured.")
    counts = class_counts(target, predicted, len(holdout.classes))
    num_right = float(counts[2].sum())
    effective = num_rows / design_effect(influence("accuracy", target, predicted, counts), holdout.groups)
    low, high = wilson(num_right / num_rows * effective, effective)
    metrics = [Metric(name="accuracy", value=num_right / num_rows, n=num_rows, ci_low=low, ci_high=high)]
    units = units_of((target, predicted), holdout.groups, len(holdout.classes))
    for name in METRICS[1:]:
        value = float(macro(name, counts))
        interval = _macro_interval(name, value, holdout, role, counts, units)
        metrics.append(
            Metric(name=name, value=value, n=num_rows, ci_low=max(0.0, interval.low), ci_high=min(1.0, interval.high))
        )
    for metric in metrics:
        if not all(math.isfinite(number) for number in (metric.value, metric.ci_low, metric.ci_high)):
            raise DataRefused(f"{metric.name} of {role} is not a finite number.")
    return tuple(metrics)


def _macro_interval(name: str, value: float, holdout: Holdout, role: str, counts: Floats, units: Units) -> Interval:
    sums = group_sums(influence(name, holdout.target, holdout.predictions[role], counts), holdout.groups)
    if can_bootstrap(units):
        return bootstrap_interval(units, lambda totals: macro(name, totals[:, :3]), value, sums)
    spread = normal_quantile(0.975) * math.sqrt(float((sums**2).sum())) / holdout.num_rows
    return Interval(value - spread, value + spread)


def confusion_matrix(holdout: Holdout, role: str) -> list[list[int]]:
    """[classes][classes] rows by target (first index) and prediction."""
    size = len(holdout.classes)
    flat = np.bincount(holdout.target * size + holdout.predictions[role], minlength=size * size)
    matrix: list[list[int]] = flat.reshape(size, size).tolist()
    return matrix


def per_class(holdout: Holdout, role: str) -> list[dict[str, Any]]:
    """One line per class of the targets: precision, recall, f1, n (target rows), num_predicted."""
    counts = class_counts(holdout.target, holdout.predictions[role], len(holdout.classes))
    lines = []
    for label, (targets, predicted, right) in zip(holdout.classes, counts.T, strict=True):
        if targets + predicted == 0:  # only another model predicts it
            continue
        precision = right / predicted if predicted else 0.0
        lines.append({
            "label": label, "n": int(targets), "num_predicted": int(predicted), "precision": precision,
            "recall": right / targets if targets else None, "f1": 2 * right / (targets + predicted),
        })  # fmt: skip
    return lines


def per_slice(holdout: Holdout, role: str) -> list[dict[str, Any]]:
    """Accuracy per value of every slice column, with n and a Wilson interval; largest slices first."""
    right = (holdout.target == holdout.predictions[role]).astype(float)
    lines: list[dict[str, Any]] = []
    for name, column in (holdout.slices or {}).items():
        has_value = column.codes >= 0
        sizes = np.bincount(column.codes[has_value], minlength=len(column.values))
        hits = np.bincount(column.codes[has_value], weights=right[has_value], minlength=len(column.values))
        for code in np.argsort(-sizes, kind="stable")[:SMALL_SLICES_SHOWN]:
            n, num_right = int(sizes[code]), float(hits[code])
            if n == 0:
                continue
            low, high = wilson(num_right, n)
            lines.append({
                "column": name, "value": column.values[code], "n": n, "accuracy": num_right / n,
                "ci_low": low, "ci_high": high,
            })  # fmt: skip
    return lines
