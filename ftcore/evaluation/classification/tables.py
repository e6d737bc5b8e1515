"""What one model did, per class and per slice: numbers to look at, which decide nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from ftcore.evaluation.classification.metrics import class_counts
from ftcore.evaluation.rows import Holdout
from ftcore.evaluation.statistics.intervals import wilson

SMALL_SLICES_SHOWN = 50
"""Slices are shown largest first; beyond this many, the rest is counted only."""


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
