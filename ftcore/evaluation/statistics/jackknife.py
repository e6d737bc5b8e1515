"""Leave one out: the bias and the spread of a metric of summed counts, where the delta method is too sure on few rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ftcore.evaluation.rows import Floats, Ints


@dataclass(frozen=True)
class Jackknife:
    """What leaving out each row (group) does."""

    bias: float
    """How far the metric lies above the truth on average (Quenouille 1956)."""
    sums: Floats
    """[rows or groups] in the place of influence sums."""


def jackknife(
    formula: Callable[[Floats], Floats], total: Floats, parts: Floats, copies: Ints, num_rows: int
) -> Jackknife:
    """Jackknife of a metric (Efron & Tibshirani 1993, chapter 11).

    Args:
        formula: Sums [units, ...] to values [units].
        total: Sums over all rows [...].
        parts: [units, ...] what each unit adds to them.
        copies: [units] how many equal units there are.
        num_rows: Rows in all; with groups, more than units.
    """
    num_units = int(copies.sum())
    value = float(formula(total[None])[0])
    if num_units < 2:
        return Jackknife(0.0, np.zeros(num_units))
    without = formula(total - parts)
    mean = float((without * copies).sum()) / num_units
    sums = np.repeat((mean - without) * (num_units - 1) * num_rows / num_units, copies)
    return Jackknife((num_units - 1) * (mean - value), sums)
