"""How the probe's error falls with more training rows, and what twice as many would likely give."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ftcore.evaluation.analysis.probe import Probe
from ftcore.evaluation.rows import Floats, Ints
from ftcore.evaluation.statistics.intervals import design_effect, wilson

NUM_RESAMPLES = 500
_FLOORS = 21  # how many values of the error that no data remove are tried
_SEED = 20_261
_LEAST = 1e-4


def learning_curve(probe: Probe | None, groups: Ints | None = None) -> dict[str, Any] | None:
    """Points (rows, accuracy, Wilson interval), and the accuracy that a power law gives for twice the rows, with an interval.

    The interval resamples test rows (groups) and fits anew, 500 times; it does not know how another draw of training rows would
    have turned out. None without at least three points.
    """
    if probe is None or len(probe.num_train) < 3:
        return None
    points = []
    for size, right in zip(probe.num_train, probe.right, strict=True):
        effective = len(right) / design_effect(right - right.mean(), groups)
        low, high = wilson(float(right.mean()) * effective, effective)
        points.append({"num_train": size, "accuracy": float(right.mean()), "ci_low": low, "ci_high": high})
    sizes = np.array(probe.num_train, dtype=float)
    errors = np.concatenate([1.0 - probe.right.mean(axis=1)[None], _resampled(1.0 - probe.right, groups)])
    twice = 1.0 - predicted_error(sizes, errors, 2 * sizes[-1])
    gains = twice - (1.0 - errors[:, -1])
    low, high = (float(np.quantile(gains[1:], share)) for share in (0.025, 0.975))
    return {
        "points": points, "twice": {"num_train": 2 * probe.num_train[-1], "accuracy": float(twice[0])},
        "gain": float(gains[0]), "gain_low": low, "gain_high": high, "num_test": probe.right.shape[1],
        "was_sampled": probe.was_sampled,
    }  # fmt: skip


def _resampled(wrong: Floats, groups: Ints | None) -> Floats:
    """[resamples, shares] error rates of resampled test rows (groups)."""
    rng = np.random.default_rng(_SEED)
    units = np.arange(wrong.shape[1]) if groups is None else groups
    num_units = int(units.max()) + 1
    sums = np.stack([np.bincount(units, weights=line, minlength=num_units) for line in wrong])
    sizes = np.bincount(units, minlength=num_units).astype(float)
    drawn = rng.multinomial(num_units, np.full(num_units, 1 / num_units), size=NUM_RESAMPLES).astype(float)
    found: Floats = drawn @ sums.T / (drawn @ sizes)[:, None]
    return found


def predicted_error(sizes: Floats, errors: Floats, size: float) -> Floats:
    """Error at `size` rows by error = floor + scale x rows^-power (Hestness et al. 2017), never above the last one seen.

    Least squares of the logarithms for each of 21 floors from 0 to 95 % of the smallest error; the floor with the smallest error
    in the errors themselves is taken.

    Args:
        sizes: [points] rows trained on.
        errors: [draws, points]

    Returns:
        [draws]
    """
    x = np.log(sizes) - np.log(sizes).mean()
    best, found = np.full(len(errors), math.inf), np.zeros(len(errors))
    for share in np.linspace(0.0, 0.95, _FLOORS):
        floor = share * errors.min(axis=1, keepdims=True)
        logs = np.log(np.maximum(errors - floor, _LEAST))
        slope = np.minimum((logs @ x) / float(x @ x), 0.0)
        middle = logs.mean(axis=1)
        fitted = floor + np.exp(middle[:, None] + slope[:, None] * x)
        misfit = ((fitted - errors) ** 2).sum(axis=1)
        ahead = floor[:, 0] + np.exp(middle + slope * (math.log(size) - np.log(sizes).mean()))
        # From the last point seen, not from the curve, so that a bad fit promises nothing.
        ratio = np.minimum(1.0, ahead / np.maximum(fitted[:, -1], _LEAST))
        better = misfit < best
        best, found = np.where(better, misfit, best), np.where(better, errors[:, -1] * ratio, found)
    return found


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
