"""How many rows a decision needs, and normal and t quantiles without importing scipy (0.3 s) where rows are many."""

from __future__ import annotations

import math
from statistics import NormalDist

_NORMAL = NormalDist()
_FEW = 30
"""Degrees of freedom."""


def normal_quantile(probability: float) -> float:
    return _NORMAL.inv_cdf(probability)


def normal_upper_tail(z: float) -> float:
    """P(Z >= z) for a standard normal Z; keeps its precision far out."""
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def t_quantile(probability: float, df: float) -> float:
    """Quantile of Student's t; from 30 degrees of freedom on by the expansion in 1/df of Abramowitz & Stegun 26.7.5, which there
    is exact to five digits up to a probability of 0.9999."""
    if df < _FEW:
        from scipy.special import stdtrit

        return float(stdtrit(df, probability))
    z = normal_quantile(probability)
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    g4 = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + g1 / df + g2 / df**2 + g3 / df**3 + g4 / df**4


def t_upper_tail(t: float, df: float) -> float:
    """P(T >= t) of Student's t; from 30 degrees of freedom on by the normal deviate of Wallace (1959), Ann. Math. Stat.
    30:1121-1130, there within 1.2 % of the probability up to t = 6."""
    if math.isinf(df):
        return normal_upper_tail(t)
    if df < _FEW:
        from scipy.special import stdtr

        return float(stdtr(df, -t))
    z = (8 * df + 1) / (8 * df + 3) * math.sqrt(df * math.log1p(t * t / df))
    return normal_upper_tail(math.copysign(z, t))


def rows_needed(discordance: float, gain: float, alpha: float, power: float) -> int:
    """Rows with which a true paired gain of `gain` is found with probability `power`.

    n = (z_a sqrt(p) + z_b sqrt(p - d^2))^2 / d^2 with p the share of discordant rows and d the gain, one-sided at
    `alpha`: Connor (1987), Biometrics 43:207-211, for McNemar's test; the same power analysis as Miller (2024),
    "Adding error bars to evals". Examples at p = .12, alpha .05, power .8: 7,400 / 1,850 / 820 / 295 rows for gains of
    1 / 2 / 3 / 5 points.

    Args:
        discordance: Share of rows that exactly one of the models gets right (0 to 1), times the design effect where
            rows come in groups. A gain of d needs discordance of at least d, so smaller values count as d.
        gain: Smallest difference worth seeing, a fraction; below one in a million counts as one in a million.
    """
    gain = max(gain, 1e-6)
    p = max(discordance, gain)
    z_a, z_b = normal_quantile(1 - alpha), normal_quantile(power)
    root = z_a * math.sqrt(p) + z_b * math.sqrt(max(p - gain * gain, 0.0))
    return max(1, math.ceil(max(root, 0.0) ** 2 / (gain * gain)))
