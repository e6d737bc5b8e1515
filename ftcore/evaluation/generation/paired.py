"""Candidate minus champion on a text metric, on the same rows: of yes and no (exact match, valid form) as `statistics/shares.py`
has it, else BCa bootstrap of row statistics and swap permutation.

Corpus metrics are no means of rows, so both resample rows (groups) and compute the metric of each resample: Koehn (2004),
"Statistical significance tests for machine translation evaluation", and Riezler & Maxwell (2005) for the permutation.

How often the bounds err is in docs/decision-statistics.md (python -m benchmarks.coverage --pairs): 4 to 7 % at nominal 5.
"""

from __future__ import annotations

import numpy as np

from ftcore.evaluation.generation.holdout import TextHoldout
from ftcore.evaluation.generation.metrics import formula_of, influence, mean, value_of
from ftcore.evaluation.rows import Floats
from ftcore.evaluation.statistics.differences import Difference, Spread, resampled_difference, spread_of_effects
from ftcore.evaluation.statistics.resampling import units_of_sums
from ftcore.evaluation.statistics.shares import is_yes_or_no, share_difference


def text_difference(
    holdout: TextHoldout, metric: str, candidate: str = "candidate", champion: str = "champion", alpha: float = 0.05
) -> Difference:
    """Paired difference on `metric`, bounds at 1 - alpha. Both models have that metric."""
    formula = formula_of(metric)
    values = (value_of(holdout, candidate, metric), value_of(holdout, champion, metric))
    rows = [holdout.statistics[role][metric] for role in (candidate, champion)]
    if formula is mean and all(is_yes_or_no(scores[:, 0]) and (scores[:, 1] == 1).all() for scores in rows):
        wins = (rows[0][:, 0] - rows[1][:, 0]).astype(np.int64)
        return share_difference(metric, values, wins, holdout.groups, alpha)

    def statistic(totals: Floats) -> Floats:
        return formula(totals[:, 0]) - formula(totals[:, 1])

    both = np.concatenate(rows, axis=1)
    return resampled_difference(
        metric,
        values,
        units_of_sums(both, holdout.groups, both.shape[1] // 2),
        statistic,
        _effects(holdout, metric, candidate, champion),
        holdout.groups,
        alpha,
    )


def text_spread(holdout: TextHoldout, metric: str, candidate: str = "candidate", champion: str = "champion") -> Spread:
    """Centre and standard error of the difference by the delta method (`spread_of_effects`)."""
    difference = value_of(holdout, candidate, metric) - value_of(holdout, champion, metric)
    return spread_of_effects(difference, _effects(holdout, metric, candidate, champion), holdout.groups)


def _effects(holdout: TextHoldout, metric: str, candidate: str, champion: str) -> Floats:
    """[rows] influence on the difference."""
    effects = [influence(metric, holdout.statistics[role][metric]) for role in (candidate, champion)]
    return effects[0] - effects[1]
