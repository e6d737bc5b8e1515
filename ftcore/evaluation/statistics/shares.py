"""Candidate minus champion where every row says yes or no: accuracy, exact answers, valid forms, shares of probes.

Single rows: adjusted Wald interval of Bonett & Price (2012), J. Educ. Behav. Stat. 37:479-488, that is d and its variance from
counts with one more win and one more loss, so that no difference is ever "certain"; exact McNemar p.
Rows in groups: the variance is multiplied by the design effect of the cluster-robust variance
(1/n^2) sum_g (sum_{i in g} (d_i - d))^2 x G/(G-1) (Miller 2024), limits use Student's t with G - 1 degrees of freedom,
and p comes from flipping the signs of whole groups.
"""

from __future__ import annotations

import math

from ftcore.evaluation.rows import Floats, Ints, group_sums
from ftcore.evaluation.statistics.differences import Difference, Spread
from ftcore.evaluation.statistics.resampling import mcnemar_tail, sign_flip_p_value


def is_yes_or_no(scores: Floats) -> bool:
    """Whether all scores [rows] are 0 or 1."""
    return bool(((scores == 0) | (scores == 1)).all())


def spread_of(
    num_won: float, num_lost: float, num_rows: int, design: float = 1.0, num_groups: int | None = None
) -> Spread:
    """Bonett-Price centre and standard error from counts of rows that only one model gets right."""
    total = num_rows + 2
    won, lost = (num_won + 1) / total, (num_lost + 1) / total
    centre = won - lost
    se = math.sqrt(design * (won + lost - centre * centre) / total)
    return Spread(centre, se, math.inf if num_groups is None else max(1, num_groups - 1), design)


def share_spread(wins: Ints, groups: Ints | None) -> Spread:
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


def share_difference(
    name: str, values: tuple[float, float], wins: Ints, groups: Ints | None, alpha: float = 0.05
) -> Difference:
    """Paired difference of two shares of rows.

    Args:
        values: The share of candidate and champion.
        wins: [rows] 1 where only the candidate counts, -1 where only the champion does, else 0.
    """
    spread = share_spread(wins, groups)
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
