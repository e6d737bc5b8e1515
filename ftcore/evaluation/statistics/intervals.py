"""Intervals of a proportion, for single rows and for rows that come in groups."""

from __future__ import annotations

import math

from ftcore.evaluation.rows import Floats, Ints, group_sums
from ftcore.evaluation.statistics.power import normal_quantile


def design_effect(values: Floats, groups: Ints | None) -> float:
    """Variance of a mean of centred `values` [rows] clustered by group, over its variance for independent rows; >= 1."""
    if groups is None:
        return 1.0
    sums, independent = group_sums(values, groups), float((values**2).sum())
    if independent == 0.0 or len(sums) < 2:
        return 1.0
    return max(1.0, float((sums**2).sum()) * len(sums) / (len(sums) - 1) / independent)


def wilson(num_right: float, num_rows: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson (1927) score interval for a proportion.

    Args:
        num_rows: Rows; a design effect divides both arguments (effective sample size, Korn & Graubard 1998).
    """
    z = normal_quantile((1 + confidence) / 2)
    share = num_right / num_rows
    centre = share + z * z / (2 * num_rows)
    spread = z * math.sqrt(share * (1 - share) / num_rows + z * z / (4 * num_rows**2))
    scale = 1 + z * z / num_rows
    low = 0.0 if num_right <= 0 else (centre - spread) / scale  # exactly 0 and 1 at the ends, not 1e-17 beside
    return low, 1.0 if share >= 1 else (centre + spread) / scale
