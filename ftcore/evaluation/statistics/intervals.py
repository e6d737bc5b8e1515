"""95 % intervals of one model's metrics, for single rows and for rows that come in groups.

Proportions: Wilson. Every other metric is a smooth function of sums over rows: the delta method (infinitesimal jackknife) on a
scale where the metric has no ends, and Student's t for as many units as there are. `benchmarks/coverage.py` shows how often they
hold the truth.
"""

from __future__ import annotations

import math
from typing import Literal

from ftcore.evaluation.rows import Floats, Ints, group_sums
from ftcore.evaluation.statistics.power import normal_quantile, t_quantile

Scale = Literal["logit", "fisher", "log"]
"""Where an interval is symmetric: logit for a metric from 0 to 1, Fisher's z from -1 to 1, log above 0."""
_MAX_SPREAD = 700.0  # of a logarithm: more cannot be written


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


def proportion_interval(values: Floats, groups: Ints | None) -> tuple[float, float]:
    """Wilson interval of the mean of `values` [rows] in {0, 1}, on the effective number of rows where rows come in groups.

    With groups, Student's t of G - 1 degrees of freedom takes the normal's place: the effective number of rows times (z / t)^2,
    as Korn & Graubard (1998), Survey Methodology 24:193-201, advise.
    """
    share, num_rows = float(values.mean()), len(values)
    effective = num_rows / design_effect(values - share, groups)
    if groups is not None:
        num_groups = int(groups.max()) + 1
        if num_groups == 1:  # one group says as much as one row
            return wilson(share, 1.0)
        effective *= (normal_quantile(0.975) / t_quantile(0.975, num_groups - 1)) ** 2
    return wilson(share * effective, effective)


def standard_error(sums: Floats, num_rows: int) -> float:
    """Of a metric, from the influence sums [units] of its rows or groups (centred: they add up to 0)."""
    num_units = len(sums)
    if num_units < 2:
        return 0.0
    return math.sqrt(float((sums**2).sum()) * num_units / (num_units - 1)) / num_rows


def degrees_of_freedom(sums: Floats) -> float:
    """Of the standard error made of influence sums [units]: 2 E^2 / Var of their mean square (Satterthwaite 1946), below units.

    Few where a metric hangs on few rows, as the recall of a rare class does.
    """
    num_units, squares = len(sums), float((sums**2).sum())
    variance = float((sums**4).sum()) - squares * squares / max(num_units, 1)
    found = 2 * squares * squares / variance if variance > 0 else math.inf
    return max(1.0, min(found, num_units - 1))


def delta_interval(
    value: float, sums: Floats, num_rows: int, scale: Scale, effective: float, df: float | None = None
) -> tuple[float, float]:
    """Delta-method interval of a metric, symmetric on `scale`, Student's t.

    Args:
        sums: [units] influence sums of rows or groups.
        effective: Rows that a proportion would need for this certainty; where the metric is 0 or 1 on every row, nothing varies,
            and the interval is Wilson's for that many rows.
        df: Degrees of freedom; None: units - 1.
    """
    if scale == "fisher":  # Fisher's z is half the logit of (1 + value) / 2
        low, high = delta_interval((1 + value) / 2, sums / 2, num_rows, "logit", effective, df)
        return 2 * low - 1, 2 * high - 1
    se, num_units = standard_error(sums, num_rows), len(sums)
    if num_units < 2:  # one group says as much as one row
        return 0.0, math.inf if scale == "log" else 1.0
    if scale == "logit" and not 0.0 < value < 1.0:
        return wilson(value * effective, effective)
    t = t_quantile(0.975, num_units - 1 if df is None else df)
    if scale == "log":
        spread = min(t * se / value, _MAX_SPREAD)
        return value * math.exp(-spread), value * math.exp(spread)
    centre, spread = math.log(value / (1 - value)), t * se / (value * (1 - value))
    return _expit(centre - spread), _expit(centre + spread)


def _expit(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
