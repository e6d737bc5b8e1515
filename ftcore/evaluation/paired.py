"""Candidate minus champion on the same rows: the difference, how sure it is, and how many rows it would take.

Accuracy of single rows: adjusted Wald interval of Bonett & Price (2012), J. Educ. Behav. Stat. 37:479-488, that is d and its
variance from counts with one more win and one more loss, so that no difference is ever "certain"; exact McNemar p.
Rows in groups: the variance is multiplied by the design effect of the cluster-robust variance
(1/n^2) sum_g (sum_{i in g} (d_i - d))^2 x G/(G-1) (Miller 2024), limits use Student's t with G - 1 degrees of freedom,
and p comes from flipping the signs of whole groups. Macro metrics: BCa bootstrap and swap permutation of rows (groups).

Intervals, for people, have two sides (95 %). Decisions use one side: `lower` and `upper` are bounds at 1 - alpha each, and
p-values are one-sided ("how likely is so large a gain if the candidate is not better"), as non-inferiority tests are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ftcore.evaluation.metrics import class_counts, influence, macro
from ftcore.evaluation.power import normal_quantile, normal_upper_tail, rows_needed, t_quantile
from ftcore.evaluation.resampling import (
    Statistic,
    Units,
    bootstrap_quantiles,
    can_bootstrap,
    mcnemar_tail,
    sign_flip_p_value,
    swap_p_value,
    units_of,
)
from ftcore.evaluation.rows import Floats, Holdout, Ints, group_sums


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
        z = normal_quantile(probability) if math.isinf(self.df) else t_quantile(probability, self.df)
        return min(1.0, max(-1.0, self.centre + z * self.se))


def spread_of(
    num_won: float, num_lost: float, num_rows: int, design: float = 1.0, num_groups: int | None = None
) -> Spread:
    """Bonett-Price centre and standard error from counts of rows that only one model gets right."""
    total = num_rows + 2
    won, lost = (num_won + 1) / total, (num_lost + 1) / total
    centre = won - lost
    se = math.sqrt(design * (won + lost - centre * centre) / total)
    return Spread(centre, se, math.inf if num_groups is None else max(1, num_groups - 1), design)


def accuracy_spread(wins: Ints, groups: Ints | None) -> Spread:
    """Spread of d = mean(wins), wins [rows] in {-1, 0, 1}: +1 where only the candidate is right."""
    num_won, num_lost, num_rows = int((wins > 0).sum()), int((wins < 0).sum()), len(wins)
    if groups is None:
        return spread_of(num_won, num_lost, num_rows)
    centred = wins - wins.mean()
    sums = group_sums(centred, groups)
    independent, num_groups = float((centred**2).sum()), len(sums)
    design = 1.0
    if independent > 0 and num_groups > 1:
        design = max(1.0, float((sums**2).sum()) * num_groups / (num_groups - 1) / independent)
    elif num_groups == 1:
        design = float(num_rows)  # one group says as much as one row
    return spread_of(num_won, num_lost, num_rows, design, num_groups)


def wins_of(holdout: Holdout, candidate: str, champion: str) -> Ints:
    """[rows]: +1 where only the candidate is right, -1 where only the champion is, else 0."""
    right = [(holdout.predictions[role] == holdout.target).astype(np.int64) for role in (candidate, champion)]
    wins: Ints = right[0] - right[1]
    return wins


def accuracy_difference(holdout: Holdout, candidate: str, champion: str, alpha: float = 0.05) -> Difference:
    """Paired difference of accuracies."""
    wins = wins_of(holdout, candidate, champion)
    spread = accuracy_spread(wins, holdout.groups)
    num_won, num_lost = int((wins > 0).sum()), int((wins < 0).sum())
    if holdout.groups is None:
        p_value, method = mcnemar_tail(num_won, num_lost), "adjusted Wald interval, exact McNemar test"
    else:
        p_value = sign_flip_p_value(group_sums(wins.astype(float), holdout.groups))
        method = "cluster-robust interval, sign-flip test by group"
    accuracy = {role: float((holdout.predictions[role] == holdout.target).mean()) for role in (candidate, champion)}
    return Difference(
        name="accuracy", champion=accuracy[champion], candidate=accuracy[candidate],
        difference=(num_won - num_lost) / len(wins),
        ci_low=spread.bound(0.025), ci_high=spread.bound(0.975), lower=spread.bound(alpha), upper=spread.bound(1 - alpha),
        p_value=p_value, n=len(wins), discordance=(num_won + num_lost) / len(wins) * spread.design_effect, method=method,
    )  # fmt: skip


def macro_difference(
    holdout: Holdout, candidate: str, champion: str, name: str = "macro_f1", alpha: float = 0.05
) -> Difference:
    """Paired difference of a macro metric; the delta method takes over where there are too many rows to resample."""
    size, target = len(holdout.classes), holdout.target
    values, effects = [], []
    for role in (candidate, champion):
        counts = class_counts(target, holdout.predictions[role], size)
        values.append(float(macro(name, counts)))
        effects.append(influence(name, target, holdout.predictions[role], counts))
    sums = group_sums(effects[0] - effects[1], holdout.groups)
    units = units_of((target, holdout.predictions[candidate], holdout.predictions[champion]), holdout.groups, size)

    def statistic(counts: Floats) -> Floats:
        return macro(name, counts[:, :3]) - macro(name, counts[:, 3:])

    return resampled_difference(name, (values[0], values[1]), units, statistic, sums, holdout.num_rows, alpha)


def resampled_difference(
    name: str,
    values: tuple[float, float],
    units: Units,
    statistic: Statistic,
    sums: Floats,
    num_rows: int,
    alpha: float = 0.05,
) -> Difference:
    """Difference with BCa bootstrap bounds and a swap permutation test, or by the delta method where there are too many units.

    Args:
        values: The metric of candidate and champion.
        units: Of both models, candidate first.
        statistic: The difference from the units' sums.
        sums: [units or rows] influence sums of the difference.
    """
    difference = values[0] - values[1]
    se = math.sqrt(float((sums**2).sum())) / num_rows
    limits = (0.025, alpha, 1 - alpha, 0.975)
    if can_bootstrap(units):
        low, lower, upper, high = bootstrap_quantiles(units, statistic, difference, sums, limits)
        p_value, method = swap_p_value(units, statistic, difference), "BCa bootstrap, swap permutation test"
    else:
        low, lower, upper, high = (difference + normal_quantile(p) * se for p in limits)
        p_value = normal_upper_tail(difference / se) if se > 0 else 1.0
        method = "delta method (too many rows to resample)"
    return Difference(
        name=name, champion=values[1], candidate=values[0], difference=difference, ci_low=low, ci_high=high,
        lower=lower, upper=upper, p_value=p_value, n=num_rows,
        discordance=se * se * num_rows + difference * difference, method=method,
    )  # fmt: skip


def paired_difference(
    holdout: Holdout, metric: str, candidate: str = "candidate", champion: str = "champion", alpha: float = 0.05
) -> Difference:
    """Candidate minus champion on `metric` (accuracy, macro_precision, macro_recall, macro_f1), bounds at 1 - alpha."""
    if metric == "accuracy":
        return accuracy_difference(holdout, candidate, champion, alpha)
    return macro_difference(holdout, candidate, champion, metric, alpha)


def level_of(alpha: float) -> str:
    """How sure a bound is, for people: `95 %` at alpha 0.05."""
    return f"{100 * (1 - alpha):g} %"
