"""Candidate minus champion on the same rows of a classification task.

Accuracy, and a user's own metric that says yes or no: `statistics/shares.py`. Macro metrics: BCa bootstrap and swap permutation
of rows (groups). Metrics of probabilities: the delta method.
"""

from __future__ import annotations

import numpy as np

from ftcore.evaluation.classification.calibration import ece_difference
from ftcore.evaluation.classification.metrics import METRICS, class_counts, from_counts, influence
from ftcore.evaluation.classification.probabilities import PROBABILITY_METRICS, measure
from ftcore.evaluation.rows import Floats, Holdout, Ints, group_sums
from ftcore.evaluation.statistics.differences import Difference, delta_difference, resampled_difference
from ftcore.evaluation.statistics.intervals import degrees_of_freedom
from ftcore.evaluation.statistics.resampling import units_of, units_of_sums
from ftcore.evaluation.statistics.shares import is_yes_or_no, share_difference

_LARGEST = {"mcc": 2.0, "brier": 2.0}
"""Differences of these can be beyond 1."""


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
    units = units_of((target, holdout.predictions[candidate], holdout.predictions[champion]), holdout.groups, size)

    def statistic(counts: Floats) -> Floats:
        return from_counts(name, counts[:, :3]) - from_counts(name, counts[:, 3:])

    moved = effects[0] - effects[1]
    largest = _LARGEST.get(name, 1.0)
    return resampled_difference(name, (values[0], values[1]), units, statistic, moved, holdout.groups, alpha, largest)


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
    effects = measured[0].influence - measured[1].influence
    # the area of a rare class hangs on few rows; a mean over rows hangs on all of them
    df = None if name == "brier" else degrees_of_freedom(group_sums(effects, holdout.groups))
    return delta_difference(
        name,
        (measured[0].value, measured[1].value),
        effects,
        holdout.groups,
        alpha,
        largest=_LARGEST.get(name, 1.0),
        df=df,
    )


def row_metric_difference(
    holdout: Holdout, candidate: str, champion: str, name: str, alpha: float = 0.05
) -> Difference:
    """Paired difference of the mean of a user's own metric: of yes and no as accuracy has it, else BCa bootstrap and swap
    permutation of rows (groups)."""
    rows = [holdout.row_metrics[role][name] for role in (candidate, champion)]
    values = (float(rows[0].mean()), float(rows[1].mean()))
    wins = rows[0] - rows[1]
    if all(is_yes_or_no(scores) for scores in rows):
        return share_difference(name, values, wins.astype(np.int64), holdout.groups, alpha)
    ones = np.ones_like(wins)
    units = units_of_sums(np.stack([rows[0], ones, rows[1], ones], axis=1), holdout.groups, 2)

    def statistic(totals: Floats) -> Floats:
        means: Floats = totals[..., 0] / totals[..., 1]
        return means[..., 0] - means[..., 1]

    return resampled_difference(name, values, units, statistic, wins - wins.mean(), holdout.groups, alpha)


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
