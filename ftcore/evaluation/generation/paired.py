"""Candidate minus champion on a text metric, on the same rows: BCa bootstrap of row statistics and swap permutation.

Corpus metrics are no means of rows, so both resample rows (groups) and compute the metric of each resample: Koehn (2004),
"Statistical significance tests for machine translation evaluation", and Riezler & Maxwell (2005) for the permutation.

How often the bounds err is in docs/decision-statistics.md (python -m benchmarks.coverage --pairs): 4 to 7 % at nominal 5.
"""

from __future__ import annotations

import math

import numpy as np

from ftcore.evaluation.generation.holdout import TextHoldout
from ftcore.evaluation.generation.metrics import formula_of, influence, value_of
from ftcore.evaluation.rows import Floats, group_sums
from ftcore.evaluation.statistics.differences import Difference, Spread, resampled_difference
from ftcore.evaluation.statistics.resampling import units_of_sums


def text_difference(
    holdout: TextHoldout, metric: str, candidate: str = "candidate", champion: str = "champion", alpha: float = 0.05
) -> Difference:
    """Paired difference on `metric`, bounds at 1 - alpha. Both models have that metric."""
    formula = formula_of(metric)

    def statistic(totals: Floats) -> Floats:
        return formula(totals[:, 0]) - formula(totals[:, 1])

    both = np.concatenate([holdout.statistics[role][metric] for role in (candidate, champion)], axis=1)
    return resampled_difference(
        metric,
        (value_of(holdout, candidate, metric), value_of(holdout, champion, metric)),
        units_of_sums(both, holdout.groups, both.shape[1] // 2),
        statistic,
        group_sums(_effects(holdout, metric, candidate, champion), holdout.groups),
        holdout.num_rows,
        alpha,
    )


def text_spread(holdout: TextHoldout, metric: str, candidate: str = "candidate", champion: str = "champion") -> Spread:
    """Centre and standard error of the difference by the delta method; Student's t with units - 1 degrees of freedom.

    One more row (group) won outright and one more lost count in, as in the adjusted Wald interval for accuracies: no difference
    is ever certain.
    """
    sums = group_sums(_effects(holdout, metric, candidate, champion), holdout.groups)
    num_units = len(sums)
    difference = value_of(holdout, candidate, metric) - value_of(holdout, champion, metric)
    total = num_units + 2
    per_unit = float((sums**2).sum()) * (num_units / holdout.num_rows) ** 2
    se = math.sqrt(per_unit + 2) / total
    return Spread(difference * num_units / total, se, max(1, num_units - 1), 1.0)


def _effects(holdout: TextHoldout, metric: str, candidate: str, champion: str) -> Floats:
    """[rows] influence on the difference."""
    effects = [influence(metric, holdout.statistics[role][metric]) for role in (candidate, champion)]
    return effects[0] - effects[1]
