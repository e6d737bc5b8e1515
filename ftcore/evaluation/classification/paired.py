"""Candidate minus champion on the same rows of a classification task, on accuracy or a macro metric.

Accuracy of single rows: adjusted Wald interval of Bonett & Price (2012), J. Educ. Behav. Stat. 37:479-488, that is d and its
variance from counts with one more win and one more loss, so that no difference is ever "certain"; exact McNemar p.
Rows in groups: the variance is multiplied by the design effect of the cluster-robust variance
(1/n^2) sum_g (sum_{i in g} (d_i - d))^2 x G/(G-1) (Miller 2024), limits use Student's t with G - 1 degrees of freedom,
and p comes from flipping the signs of whole groups. Macro metrics: BCa bootstrap and swap permutation of rows (groups).
"""

from __future__ import annotations

import math

import numpy as np

from ftcore.evaluation.classification.calibration import ece_difference
from ftcore.evaluation.classification.metrics import METRICS, class_counts, from_counts, influence
from ftcore.evaluation.classification.probabilities import PROBABILITY_METRICS, measure
from ftcore.evaluation.rows import Floats, Holdout, Ints, group_sums
from ftcore.evaluation.statistics.differences import (
    Difference,
    Spread,
    delta_difference,
    resampled_difference,
    spread_of,
)
from ftcore.evaluation.statistics.resampling import mcnemar_tail, sign_flip_p_value, units_of, units_of_sums


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
    accuracy = [float((holdout.predictions[role] == holdout.target).mean()) for role in (candidate, champion)]
    wins = wins_of(holdout, candidate, champion)
    return share_difference("accuracy", (accuracy[0], accuracy[1]), wins, holdout.groups, alpha)


def share_difference(
    name: str, values: tuple[float, float], wins: Ints, groups: Ints | None, alpha: float = 0.05
) -> Difference:
    """Paired difference of two shares of rows.

    Args:
        values: The share of candidate and champion.
        wins: [rows] 1 where only the candidate counts, -1 where only the champion does, else 0.
    """
    spread = accuracy_spread(wins, groups)
    num_won, num_lost = int((wins > 0).sum()), int((wins < 0).sum())
    if groups is None:
        p_value, method = mcnemar_tail(num_won, num_lost), "adjusted Wald interval, exact McNemar test"
    else:
        p_value = sign_flip_p_value(group_sums(wins.astype(float), groups))
        method = "cluster-robust interval, sign-flip test by group"
    return Difference(
        name=name, champion=values[1], candidate=values[0],
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
        values.append(float(from_counts(name, counts)))
        effects.append(influence(name, target, holdout.predictions[role], counts))
    sums = group_sums(effects[0] - effects[1], holdout.groups)
    units = units_of((target, holdout.predictions[candidate], holdout.predictions[champion]), holdout.groups, size)

    def statistic(counts: Floats) -> Floats:
        return from_counts(name, counts[:, :3]) - from_counts(name, counts[:, 3:])

    return resampled_difference(name, (values[0], values[1]), units, statistic, sums, holdout.num_rows, alpha)


def probability_difference(
    holdout: Holdout, candidate: str, champion: str, name: str, alpha: float = 0.05
) -> Difference:
    """Paired difference of a metric of probabilities by the delta method (ROC-AUC: DeLong et al. 1988); of ECE as
    `calibration.py` has it. The Brier score is a mean over rows: with groups its bounds are of Student's t.

    Raises:
        ValueError: A model has no probabilities, or the metric is not defined on these rows.
    """
    found = [
        measure(name, holdout.probabilities[role]) for role in (candidate, champion) if role in holdout.probabilities
    ]
    measured = [item for item in found if not isinstance(item, str)]
    if len(measured) < 2:
        raise ValueError(f"{name} is not defined for {candidate} and {champion}.")
    if name == "ece":
        return ece_difference(measured[0], measured[1], holdout.groups, alpha)
    sums = group_sums(measured[0].influence - measured[1].influence, holdout.groups)
    df = max(1, len(sums) - 1) if name == "brier" and holdout.groups is not None else math.inf
    return delta_difference(name, (measured[0].value, measured[1].value), sums, holdout.num_rows, alpha, df=df)


def row_metric_difference(
    holdout: Holdout, candidate: str, champion: str, name: str, alpha: float = 0.05
) -> Difference:
    """Paired difference of the mean of a user's own metric: BCa bootstrap and swap permutation of rows (groups)."""
    rows = [holdout.row_metrics[role][name] for role in (candidate, champion)]
    values = (float(rows[0].mean()), float(rows[1].mean()))
    wins = rows[0] - rows[1]
    ones = np.ones_like(wins)
    units = units_of_sums(np.stack([rows[0], ones, rows[1], ones], axis=1), holdout.groups, 2)
    sums = group_sums(wins - wins.mean(), holdout.groups)

    def statistic(totals: Floats) -> Floats:
        means: Floats = totals[..., 0] / totals[..., 1]
        return means[..., 0] - means[..., 1]

    return resampled_difference(name, values, units, statistic, sums, holdout.num_rows, alpha)


def paired_difference(
    holdout: Holdout, metric: str, candidate: str = "candidate", champion: str = "champion", alpha: float = 0.05
) -> Difference:
    """Candidate minus champion on `metric` (any that both have), bounds at 1 - alpha. Of brier and ece less is better."""
    if metric == "accuracy":
        return accuracy_difference(holdout, candidate, champion, alpha)
    if metric in PROBABILITY_METRICS:
        return probability_difference(holdout, candidate, champion, metric, alpha)
    if metric in METRICS:
        return macro_difference(holdout, candidate, champion, metric, alpha)
    return row_metric_difference(holdout, candidate, champion, metric, alpha)
