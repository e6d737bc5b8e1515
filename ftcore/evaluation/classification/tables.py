"""What one model did, per class and per slice: numbers to look at, which decide nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from ftcore.evaluation.rows import Bools, Holdout, Ints
from ftcore.evaluation.statistics.intervals import proportion_interval

SMALL_SLICES_SHOWN = 50
"""Slices are shown largest first; beyond this many, the rest is counted only."""


def confusion_matrix(holdout: Holdout, role: str) -> list[list[int]]:
    """[classes][classes] rows by target (first index) and prediction."""
    size = len(holdout.classes)
    flat = np.bincount(holdout.target * size + holdout.predictions[role], minlength=size * size)
    matrix: list[list[int]] = flat.reshape(size, size).tolist()
    return matrix


def per_class(holdout: Holdout, role: str) -> list[dict[str, Any]]:
    """One line per class of the targets: n (target rows), num_predicted; precision, recall and f1, each with a 95 % interval.

    All three are shares: recall of the target rows, precision of the predicted rows; F1 is 2 J / (1 + J) of the share J that is
    right among the rows that are either, and its limits are those of J.
    """
    target, predicted = holdout.target, holdout.predictions[role]
    lines = []
    for code, label in enumerate(holdout.classes):
        of_target, of_predicted = target == code, predicted == code
        n, num_predicted, right = int(of_target.sum()), int(of_predicted.sum()), of_target & of_predicted
        if n + num_predicted == 0:  # only another model predicts it
            continue
        lines.append(
            {"label": label, "n": n, "num_predicted": num_predicted}
            | _limits("precision", right, of_predicted, holdout.groups)
            | _limits("recall", right, of_target, holdout.groups)
            | {
                name: _f1(share)
                for name, share in _limits("f1", right, of_target | of_predicted, holdout.groups).items()
            }
        )
    return lines


def _limits(name: str, right: Bools, among: Bools, groups: Ints | None) -> dict[str, Any]:
    """Share of right rows among some, under a name, with its 95 % interval; None where there are no rows."""
    num_rows = int(among.sum())
    share = float(right[among].mean()) if num_rows else None
    own = None if groups is None or not num_rows else np.unique(groups[among], return_inverse=True)[1]
    low, high = proportion_interval(right[among].astype(float), own) if num_rows else (None, None)
    return {name: share, f"{name}_ci_low": low, f"{name}_ci_high": high}


def _f1(share: float | None) -> float | None:
    return None if share is None else 2 * share / (1 + share)


def per_slice(holdout: Holdout, role: str) -> list[dict[str, Any]]:
    """Accuracy per value of every slice column, with n and a 95 % interval; largest slices first."""
    right = holdout.target == holdout.predictions[role]
    lines: list[dict[str, Any]] = []
    for name, column in (holdout.slices or {}).items():
        sizes = np.bincount(column.codes[column.codes >= 0], minlength=len(column.values))
        for code in np.argsort(-sizes, kind="stable")[:SMALL_SLICES_SHOWN]:
            if sizes[code] == 0:
                continue
            found = _limits("accuracy", right, column.codes == code, holdout.groups)
            lines.append({"column": name, "value": column.values[code], "n": int(sizes[code]), **found})
    return lines
