"""95 % intervals of one model's metrics, for single rows and for rows that come in groups.

Proportions: Wilson. Means of proportions: the Jeffreys limits of each, put together. Every other metric is a smooth function of
sums over rows: the delta method (infinitesimal jackknife) on a scale where the metric has no ends, and Student's t for as many
units as there are. `python -m benchmarks.coverage` shows how often they hold the truth.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

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


def jeffreys(right: Floats, rows: Floats) -> tuple[Floats, Floats]:
    """95 % Jeffreys limits of proportions [proportions], 0 and 1 at the ends (Brown, Cai & DasGupta 2001, Stat. Sci. 16:101-133).

    Each limit alone errs in about 2.5 %, also near 0 and 1, where Wilson's errs more often on the one side than on the other:
    what counts where limits are put together. No rows: 0 to 1.
    """
    from scipy.special import betaincinv  # 0.3 s, which comparing two models does not need

    wrong = rows - right
    low = np.where(right > 0, betaincinv(right + 0.5, wrong + 0.5, 0.025), 0.0)
    return low, np.where(wrong > 0, betaincinv(right + 0.5, wrong + 0.5, 0.975), 1.0)


def mean_of_proportions_interval(
    right: Floats, rows: Floats, centre: float, design: float, num_units: int
) -> tuple[float, float]:
    """95 % interval of the mean of proportions that share no row, from the limits of each.

    The distances of the limits from the shares add up as standard errors do (MOVER: Zou, Huang & Zhang 2009, Comput. Stat. Data
    Anal. 53:1080-1085). A proportion of few rows without an error keeps its reach downwards: there a variance would be 0.

    Args:
        right: [proportions]
        rows: [proportions] 0: nothing is known of it; its share counts as 0.
        centre: The mean, or what it is without its bias.
        design: How much groups widen the variance of the mean; divides rows.
        num_units: Rows or groups; Student's t of one less in the normal's place, as in `proportion_interval`.
    """
    if num_units < 2:  # one group says as much as one row
        return 0.0, 1.0
    shares = np.divide(right, rows, out=np.zeros_like(right), where=rows > 0)
    effective = rows / design * (normal_quantile(0.975) / t_quantile(0.975, num_units - 1)) ** 2
    low, high = jeffreys(shares * effective, effective)
    below, above = (math.sqrt(float((reach**2).sum())) / len(shares) for reach in (shares - low, high - shares))
    return max(0.0, centre - below), min(1.0, centre + above)


def standard_error(sums: Floats, num_rows: int) -> float:
    """Of a metric, from the influence sums [units] of its rows or groups (centred: they add up to 0)."""
    num_units = len(sums)
    if num_units < 2:
        return 0.0
    return math.sqrt(float((sums**2).sum()) * num_units / (num_units - 1)) / num_rows


def degrees_of_freedom(sums: Floats) -> float:
    """Of the standard error made of influence sums [units]: 2 E^2 / Var of their mean square (Satterthwaite 1946), below units.

    Few where a metric hangs on few rows, as the area under the curve of a rare class does.
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
