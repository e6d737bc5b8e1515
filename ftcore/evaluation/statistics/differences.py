"""Candidate minus champion: the difference, how sure it is, and how many rows it would take.

Intervals, for people, have two sides (95 %). Decisions use one side: `lower` and `upper` are bounds at 1 - alpha each, and
p-values are one-sided ("how likely is so large a gain if the candidate is not better"), as non-inferiority tests are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ftcore.evaluation.rows import Floats
from ftcore.evaluation.statistics.power import normal_quantile, rows_needed, t_quantile, t_upper_tail
from ftcore.evaluation.statistics.resampling import Statistic, Units, bootstrap_quantiles, can_bootstrap, swap_p_value

FEW_UNITS = 20
"""Rows or groups below which bounds are of the delta method and Student's t, and not of a bootstrap."""


@dataclass(frozen=True)
class Difference:
    """Candidate minus champion on one metric. Fractions, not points."""

    name: str
    champion: float
    candidate: float
    difference: float
    ci_low: float
    ci_high: float
    """Two-sided 95 % interval."""
    lower: float
    upper: float
    """One-sided bounds, each at 1 - alpha."""
    p_value: float
    """One-sided: small means better."""
    n: int
    discordance: float
    """Share of rows (accuracy) or variance per row (macro metrics) that sets how many rows are needed, design effect included."""
    method: str

    def rows_needed(self, gain: float, alpha: float, power: float) -> int:
        return rows_needed(self.discordance, gain, alpha, power)

    def mirrored(self) -> Difference:
        """As a gain, where less is better: champion minus candidate."""
        return replace(
            self, difference=-self.difference, ci_low=-self.ci_high, ci_high=-self.ci_low,
            lower=-self.upper, upper=-self.lower,
        )  # fmt: skip


def quantile(probability: float, df: float) -> float:
    """Of the standard normal distribution at infinite `df`, else of Student's t."""
    return normal_quantile(probability) if math.isinf(df) else t_quantile(probability, df)


@dataclass(frozen=True)
class Spread:
    """Centre and standard error of a paired difference of accuracies."""

    centre: float
    se: float
    df: float
    """Degrees of freedom; infinite for single rows."""
    design_effect: float

    def bound(self, probability: float) -> float:
        """The point with `probability` of the sampling distribution below it."""
        return min(1.0, max(-1.0, self.centre + quantile(probability, self.df) * self.se))


def spread_of(
    num_won: float, num_lost: float, num_rows: int, design: float = 1.0, num_groups: int | None = None
) -> Spread:
    """Bonett-Price centre and standard error from counts of rows that only one model gets right."""
    total = num_rows + 2
    won, lost = (num_won + 1) / total, (num_lost + 1) / total
    centre = won - lost
    se = math.sqrt(design * (won + lost - centre * centre) / total)
    return Spread(centre, se, math.inf if num_groups is None else max(1, num_groups - 1), design)


def resampled_difference(
    name: str,
    values: tuple[float, float],
    units: Units,
    statistic: Statistic,
    sums: Floats,
    num_rows: int,
    alpha: float = 0.05,
) -> Difference:
    """Difference with BCa bootstrap bounds and a swap permutation test, or by the delta method where there are too many units, or
    too few: of three groups no resample is worse than the worst one, which is above 0 in one of eight draws by chance.

    Args:
        values: The metric of candidate and champion.
        units: Of both models, candidate first.
        statistic: The difference from the units' sums.
        sums: [units or rows] influence sums of the difference.
    """
    if not can_bootstrap(units):
        return delta_difference(name, values, sums, num_rows, alpha, "delta method (too many rows to resample)")
    if units.num_draws < FEW_UNITS:
        df = max(1, units.num_draws - 1)
        return delta_difference(
            name, values, sums, num_rows, alpha, "delta method, Student's t (few rows or groups)", df
        )
    difference = values[0] - values[1]
    limits = (0.025, alpha, 1 - alpha, 0.975)
    low, lower, upper, high = bootstrap_quantiles(units, statistic, difference, sums, limits)
    return Difference(
        name=name, champion=values[1], candidate=values[0], difference=difference, ci_low=low, ci_high=high,
        lower=lower, upper=upper, p_value=swap_p_value(units, statistic, difference), n=num_rows,
        discordance=_variance_per_row(difference, sums, num_rows), method="BCa bootstrap, swap permutation test",
    )  # fmt: skip


def delta_difference(
    name: str,
    values: tuple[float, float],
    sums: Floats,
    num_rows: int,
    alpha: float = 0.05,
    method: str = "delta method",
    df: float = math.inf,
) -> Difference:
    """Difference with bounds and p-value from the influence sums [units] of the difference: normal, or of Student's t where the
    degrees of freedom are finite."""
    difference = values[0] - values[1]
    se = math.sqrt(float((sums**2).sum())) / num_rows
    if not math.isinf(df):
        se *= math.sqrt((df + 1) / df)
    low, lower, upper, high = (difference + quantile(p, df) * se for p in (0.025, alpha, 1 - alpha, 0.975))
    return Difference(
        name=name, champion=values[1], candidate=values[0], difference=difference, ci_low=low, ci_high=high,
        lower=lower, upper=upper, p_value=t_upper_tail(difference / se, df) if se > 0 else 1.0, n=num_rows,
        discordance=_variance_per_row(difference, sums, num_rows), method=method,
    )  # fmt: skip


def _variance_per_row(difference: float, sums: Floats, num_rows: int) -> float:
    return float((sums**2).sum()) / num_rows + difference * difference


def level_of(alpha: float) -> str:
    """How sure a bound is, for people: `95 %` at alpha 0.05."""
    return f"{100 * (1 - alpha):g} %"
