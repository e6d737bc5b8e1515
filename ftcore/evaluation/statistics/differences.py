"""Candidate minus champion: the difference, how sure it is, and how many rows it would take.

Intervals, for people, have two sides (95 %). Decisions use one side: `lower` and `upper` are bounds at 1 - alpha each, and
p-values are one-sided ("how likely is so large a gain if the candidate is not better"), as non-inferiority tests are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ftcore.evaluation.rows import Floats, Ints, group_sums
from ftcore.evaluation.statistics.power import normal_quantile, rows_needed, t_quantile, t_upper_tail
from ftcore.evaluation.statistics.resampling import Statistic, Units, bootstrap_quantiles, can_bootstrap, swap_p_value

FEW_UNITS = 20
"""Rows or groups that tell the models apart, below which bounds are of the delta method and not of a bootstrap."""


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
    """Centre and standard error of a paired difference."""

    centre: float
    se: float
    df: float
    """Degrees of freedom; infinite for single rows."""
    design_effect: float
    largest: float = 1.0
    """No difference is beyond it, either way; of losses infinite."""

    @property
    def num_units(self) -> float:
        """Rows or groups; infinite for single rows of a normal bound."""
        return self.df + 1

    def bound(self, probability: float) -> float:
        """The point with `probability` of the sampling distribution below it."""
        if math.isinf(self.se):
            return math.copysign(math.inf, probability - 0.5)
        return min(self.largest, max(-self.largest, self.centre + quantile(probability, self.df) * self.se))


def spread_of_effects(
    difference: float,
    effects: Floats,
    groups: Ints | None,
    *,
    two_more: bool = True,
    largest: float = 1.0,
    df: float | None = None,
) -> Spread:
    """Standard error of any metric's difference by the delta method. A group never says more than its rows would alone, and one
    group as much as one row, which is nothing.

    Args:
        effects: [rows] centred influence on the difference.
        groups: [rows] dense codes of rows that belong together.
        two_more: One more row won and one more lost count in, as in the adjusted Wald interval for shares, so that no difference
            is certain. They have the size of those that make the difference, sum e^4 / sum e^2: 1 on metrics of yes and no.
        largest: The largest difference there can be; of losses infinite.
        df: Degrees of freedom of Student's t; None: rows (groups) - 1.
    """
    sums = group_sums(effects, groups)
    if len(sums) < 2:
        return Spread(difference, largest, 1.0, float(len(effects)), largest)
    squares, design = float((effects**2).sum()), len(sums) / (len(sums) - 1)
    if groups is not None and squares > 0:
        design *= max(1.0, float((sums**2).sum()) / squares)
    size = float((effects**4).sum()) / squares if squares > 0 else 0.0 if math.isinf(largest) else 1.0
    se = math.sqrt(design * (squares + 2 * size * two_more)) / len(effects)
    return Spread(difference, se, len(sums) - 1 if df is None else df, design, largest)


def resampled_difference(
    name: str,
    values: tuple[float, float],
    units: Units,
    statistic: Statistic,
    effects: Floats,
    groups: Ints | None,
    alpha: float = 0.05,
    largest: float = 1.0,
) -> Difference:
    """Difference with BCa bootstrap bounds and a swap permutation test, or by the delta method where there are too many units, or
    too few that tell the models apart: of three groups no resample is worse than the worst one, which is above 0 in one of
    eight draws by chance; and where one row of 200 was won and none lost, no resample loses any.

    Args:
        values: The metric of candidate and champion.
        units: Of both models, candidate first.
        statistic: The difference from the units' sums.
        effects: [rows] influence on the difference.
        groups: [rows] dense codes of rows that belong together.
        largest: The largest difference there can be; of losses infinite.
    """
    sums = group_sums(effects, groups)
    if not can_bootstrap(units):
        method = "delta method (too many rows to resample)"
        return delta_difference(name, values, effects, groups, alpha, method, largest)
    if num_telling(sums) < FEW_UNITS:
        method = "delta method, Student's t (few rows or groups tell the models apart)"
        return delta_difference(name, values, effects, groups, alpha, method, largest)
    difference = values[0] - values[1]
    limits = (0.025, alpha, 1 - alpha, 0.975)
    low, lower, upper, high = bootstrap_quantiles(units, statistic, difference, sums, limits)
    return Difference(
        name=name, champion=values[1], candidate=values[0], difference=difference, ci_low=low, ci_high=high,
        lower=lower, upper=upper, p_value=swap_p_value(units, statistic, difference), n=len(effects),
        discordance=_variance_per_row(difference, sums, len(effects)), method="BCa bootstrap, swap permutation test",
    )  # fmt: skip


def num_telling(sums: Floats) -> float:
    """How many rows or groups make a difference: (sum s^2)^2 / sum s^4 of their influence sums (Kish's effective number)."""
    fourth = float((sums**4).sum())
    return float((sums**2).sum()) ** 2 / fourth if fourth > 0 else 0.0


def delta_difference(
    name: str,
    values: tuple[float, float],
    effects: Floats,
    groups: Ints | None,
    alpha: float = 0.05,
    method: str = "delta method",
    largest: float = 1.0,
    df: float | None = None,
) -> Difference:
    """Difference with bounds and p-value from `spread_of_effects`, whose arguments these are; two more rows where few tell."""
    difference, sums = values[0] - values[1], group_sums(effects, groups)
    few = num_telling(sums) < FEW_UNITS
    spread = spread_of_effects(difference, effects, groups, two_more=few, largest=largest, df=df)
    low, lower, upper, high = (spread.bound(p) for p in (0.025, alpha, 1 - alpha, 0.975))
    return Difference(
        name=name, champion=values[1], candidate=values[0], difference=difference, ci_low=low, ci_high=high,
        lower=lower, upper=upper, p_value=t_upper_tail(difference / spread.se, spread.df) if effects.any() else 1.0,
        n=len(effects), discordance=_variance_per_row(difference, sums, len(effects)), method=method,
    )  # fmt: skip


def _variance_per_row(difference: float, sums: Floats, num_rows: int) -> float:
    return float((sums**2).sum()) / num_rows + difference * difference


def level_of(alpha: float) -> str:
    """How sure a bound is, for people: `95 %` at alpha 0.05."""
    return f"{100 * (1 - alpha):g} %"
