"""How the probe's error falls with more training rows, and what twice as many would likely give."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ftcore.evaluation.analysis.probe import Probe
from ftcore.evaluation.rows import Floats, Ints
from ftcore.evaluation.statistics.intervals import design_effect, wilson

WITHIN = 2.5
"""The forecast gain is shown with a range of this factor both ways. From a quarter and from a half of the shipped messages and of
Banking77, two draws each, the gain of twice the rows was 0.7 to 2.1 times the forecast; an interval over test rows alone was
far narrower than that."""
_FLOORS = 21  # how many values of the error that no data remove are tried
_LEAST = 1e-4


def learning_curve(probe: Probe | None, groups: Ints | None = None) -> dict[str, Any] | None:
    """Points (rows, accuracy, Wilson interval), and the gain that a power law gives for twice the rows, with a range.

    None without at least three points.
    """
    if probe is None or len(probe.num_train) < 3:
        return None
    points = []
    for size, right in zip(probe.num_train, probe.right, strict=True):
        effective = len(right) / design_effect(right - right.mean(), groups)
        low, high = wilson(float(right.mean()) * effective, effective)
        points.append({"num_train": size, "accuracy": float(right.mean()), "ci_low": low, "ci_high": high})
    sizes, errors = np.array(probe.num_train, dtype=float), 1.0 - probe.right.mean(axis=1)
    last = float(errors[-1])
    gain = last - predicted_error(sizes, errors, 2 * float(sizes[-1]))
    return {
        "points": points, "twice": {"num_train": 2 * probe.num_train[-1], "accuracy": 1.0 - last + gain},
        "gain": gain, "gain_low": gain / WITHIN, "gain_high": min(last, gain * WITHIN), "num_test": probe.right.shape[1],
        "was_sampled": probe.was_sampled,
    }  # fmt: skip


def predicted_error(sizes: Floats, errors: Floats, size: float) -> float:
    """Error at `size` rows by error = floor + scale x rows^-power (Hestness et al. 2017), at most the last one seen.

    Least squares of the logarithms, weighted by rows (what comes next follows the end of the curve), for each of 21 floors from 0
    to 95 % of the smallest error; the floor whose curve is nearest to the errors is taken.

    Args:
        sizes: [points] rows trained on, ascending.
        errors: [points]
    """
    weights = sizes / sizes.sum()
    middle_x = float((weights * np.log(sizes)).sum())
    x = np.log(sizes) - middle_x
    best, ratio = math.inf, 1.0
    for share in np.linspace(0.0, 0.95, _FLOORS):
        floor = float(share * errors.min())
        logs = np.log(np.maximum(errors - floor, _LEAST))
        middle = float((weights * logs).sum())
        slope = min(0.0, float((weights * logs * x).sum() / (weights * x * x).sum()))
        fitted = floor + np.exp(middle + slope * x)
        misfit = float((weights * (fitted - errors) ** 2).sum())
        if misfit < best:
            ahead = floor + math.exp(middle + slope * (math.log(size) - middle_x))
            # From the last point seen, not from the curve, so that a bad fit promises nothing.
            best, ratio = misfit, ahead / max(float(fitted[-1]), _LEAST)
    return float(errors[-1]) * ratio


def learnability(right_before: float, n_before: float, right_now: float, n_now: float, share: float) -> float:
    """Share of the errors that twice the rows would take away, if the error went on falling as between two sizes; 0 to 1.

    Args:
        right_before: Accuracy with `n_before` rows.
        right_now: Accuracy with `n_now` rows.
        share: Value taken where there were no errors to see.
    """
    wrong_before, wrong_now = 1.0 - right_before, 1.0 - right_now
    if wrong_before <= 0 or n_now <= n_before:
        return share
    ratio = min(1.0, max(wrong_now, _LEAST) / wrong_before)
    return 1.0 - float(ratio ** (math.log(2.0) / math.log(n_now / n_before)))
