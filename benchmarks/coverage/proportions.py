"""Intervals of a proportion near 1, exactly: which of three holds the truth most evenly."""

from __future__ import annotations

import numpy as np
from scipy.stats import beta, binom

from ftcore.evaluation.statistics.intervals import jeffreys, wilson


def proportions(num_rows: int) -> dict[str, tuple[float, float]]:
    """By interval: share of truths from 0.9 to 0.99 that it holds in 94 to 96 % of samples, and in how many at least; exactly."""
    right, truths = np.arange(num_rows + 1.0), np.linspace(0.9, 0.99, 901)
    wrong = num_rows - right
    limits = {
        "Wilson": np.array([wilson(count, num_rows) for count in right]).T,
        "Jeffreys": np.stack(jeffreys(right, np.full(num_rows + 1, float(num_rows)))),
        "Clopper-Pearson": np.stack([
            np.where(right > 0, beta.ppf(0.025, right, wrong + 1), 0.0),
            np.where(wrong > 0, beta.ppf(0.975, right + 1, wrong), 1.0),
        ]),
    }  # fmt: skip
    chances = binom.pmf(right, num_rows, truths[:, None])
    found = {}
    for name, (low, high) in limits.items():
        held = (chances * ((low <= truths[:, None]) & (truths[:, None] <= high))).sum(axis=1)
        found[name] = float(((held >= 0.94) & (held <= 0.96)).mean()), float(held.min())
    return found
