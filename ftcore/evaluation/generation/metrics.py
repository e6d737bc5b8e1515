"""Metrics of generated answers from summed row statistics: fractions of 1, higher is better, each with n and a 95 % interval.

chrf: character n-gram F-score with beta 2, n = 1 to 6 (Popović 2015). bleu: Papineni et al. (2002), exponential smoothing, as
sacrebleu scores a corpus; 0 where all answers together have no four words in a row. Both are of the corpus, not means over
rows. rouge_1, rouge_2, rouge_l: mean ROUGE F1 over rows (Lin 2004). exact_match: share of rows that equal their reference after
NFKC and white space. token_f1: mean F1 of words, as SQuAD has it. format_valid, and a user's own metrics: mean of scores per row
that are given (`Reply.row_metrics`). inverse_perplexity: exp(-nll / tokens), one over the perplexity of the references given
their prompts; records also show the perplexity itself, for people. Perplexities compare only between models with the same tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ftcore.errors import DataRefused
from ftcore.evaluation.generation.holdout import TextHoldout
from ftcore.evaluation.generation.row_statistics import MAX_NGRAM, RowStatistics
from ftcore.evaluation.rows import Floats, group_sums
from ftcore.evaluation.statistics.intervals import delta_interval, proportion_interval
from ftcore.records import Metric

FORMAT_VALID = "format_valid"
"""Share of answers of the wanted form, where the spec names one."""
PERPLEXITY = "perplexity"
"""Shown in records; lower is better, so no floor or gate can be set on it."""
_BETA_SQUARED = 4.0
_STEP = 1e-5
_MAX_LOSS = 700.0  # a perplexity of 1e304: the interval of two rows has no end that can be written


def chrf(totals: Floats) -> Floats:
    """chrF from sums [..., 18]: precision and recall averaged over the orders that prediction and target both have."""
    predicted, wanted, matched = (totals[..., part::3] for part in range(3))
    both = (predicted > 0) & (wanted > 0)
    num_orders = np.maximum(both.sum(axis=-1), 1)
    precision = _divide(matched, predicted, both).sum(axis=-1) / num_orders
    recall = _divide(matched, wanted, both).sum(axis=-1) / num_orders
    below = _BETA_SQUARED * precision + recall
    return _divide((1 + _BETA_SQUARED) * precision * recall, below, below > 0)


def bleu(totals: Floats) -> Floats:
    """BLEU from sums [..., 10]: brevity penalty x geometric mean of the n-gram precisions, missing ones smoothed."""
    length, wanted = totals[..., 0], totals[..., 1]
    right, made = totals[..., 2 : 2 + MAX_NGRAM], totals[..., 2 + MAX_NGRAM :]
    # Method 3 of Chen & Cherry (2014): the k-th order without a match counts as 2^-k matches.
    num_missing = np.cumsum(right <= 0, axis=-1)
    smoothed = np.where(right > 0, right, 0.5**num_missing)
    with np.errstate(divide="ignore"):
        logs = np.log(_divide(smoothed, made, made > 0)).sum(axis=-1) / MAX_NGRAM
    brevity = np.where(length < wanted, np.exp(1 - _divide(wanted, length, length > 0)), 1.0)
    found: Floats = np.where((right > 0).any(axis=-1) & (length > 0), brevity * np.exp(logs), 0.0)
    return found


def mean(totals: Floats) -> Floats:
    """Sum over number, from [..., 2]."""
    return _divide(totals[..., 0], totals[..., 1], totals[..., 1] > 0)


def inverse_perplexity(totals: Floats) -> Floats:
    """exp(-nll / tokens) from [..., 2]; NaN where there are no tokens."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.exp(-totals[..., 0] / totals[..., 1])
    return found


def _divide(above: Floats, below: Floats, where: np.ndarray) -> Floats:
    found: Floats = np.divide(above, below, out=np.zeros(np.broadcast(above, below).shape), where=where)
    return found


FORMULAS: dict[str, Callable[[Floats], Floats]] = {
    "chrf": chrf, "bleu": bleu, "rouge_1": mean, "rouge_2": mean, "rouge_l": mean, "exact_match": mean, "token_f1": mean,
    "inverse_perplexity": inverse_perplexity,
}  # fmt: skip
_PROPORTIONS = ("exact_match", FORMAT_VALID)


def formula_of(name: str) -> Callable[[Floats], Floats]:
    """How a metric follows from summed row statistics; of row metrics made elsewhere, the mean."""
    return FORMULAS.get(name, mean)


def text_metrics(holdout: TextHoldout) -> tuple[str, ...]:
    """Metrics that a floor or the gate may name: the built-in ones, and those of which some model has rows."""
    return tuple(dict.fromkeys([*FORMULAS, *(name for found in holdout.statistics.values() for name in found)]))


def value_of(holdout: TextHoldout, role: str, name: str) -> float:
    """One metric of one model on all rows; NaN where the model has no such metric."""
    statistics = holdout.statistics[role].get(name)
    return math.nan if statistics is None else float(formula_of(name)(statistics.sum(axis=0)))


def row_scores(statistics: RowStatistics) -> dict[str, Floats]:
    """By metric: [rows] the metric of each row on its own."""
    return {name: formula_of(name)(values) for name, values in statistics.items()}


def influence(name: str, statistics: Floats) -> Floats:
    """[rows] influence of each row on a metric, as `metrics.influence`: n x gradient at the sums . (row - mean row).

    The gradient is a central difference in each statistic (step 1e-5 of its sum). A statistic whose sum is 0 is 0 in every row
    and has no influence.
    """
    totals = statistics.sum(axis=0)
    steps = np.diag(_STEP * np.abs(totals))
    formula = formula_of(name)
    change = formula(totals + steps) - formula(totals - steps)
    gradient = _divide(change, 2 * np.diag(steps), totals != 0)
    effects: Floats = len(statistics) * (statistics - statistics.mean(axis=0)) @ gradient
    return effects


def score(holdout: TextHoldout, role: str) -> tuple[Metric, ...]:
    """All metrics of one model, each with n and a 95 % interval; models without likelihoods lack the perplexities.

    Shares of rows: Wilson, on the effective number of rows where rows come in groups. The others: delta method on the logit
    scale; perplexities on the scale of the logarithm of the mean -ln p.

    Raises:
        DataRefused: There are no rows, or a metric is not a finite number.
    """
    num_rows = holdout.num_rows
    if num_rows == 0:
        raise DataRefused(f"The holdout of {role} is empty: nothing can be measured.")
    found = []
    for name, statistics in holdout.statistics[role].items():
        if not np.isfinite(statistics).all():
            raise DataRefused(f"{name} of {role} is not a finite number.")
        value = value_of(holdout, role, name)
        low, high = _interval(name, value, statistics, holdout)
        found.append(Metric(name=name, value=value, n=num_rows, ci_low=low, ci_high=high))
        if name == "inverse_perplexity":
            turned, best, worst = (1 / number if number > 0 else math.inf for number in (value, high, low))
            found.append(Metric(name=PERPLEXITY, value=turned, n=num_rows, ci_low=best, ci_high=worst))
    for metric in found:
        if not all(math.isfinite(number) for number in (metric.value, metric.ci_low, metric.ci_high)):
            raise DataRefused(f"{metric.name} of {role} is not a finite number.")
    return tuple(found)


def _interval(name: str, value: float, statistics: Floats, holdout: TextHoldout) -> tuple[float, float]:
    if name in _PROPORTIONS:
        return proportion_interval(statistics[:, 0], holdout.groups)
    effects = influence(name, statistics)
    if name == "inverse_perplexity" and 0 < value < 1:  # the mean -ln p is skewed, its logarithm hardly
        loss = -math.log(value)
        low, high = delta_interval(
            loss, group_sums(-effects / value, holdout.groups), holdout.num_rows, "log", float(holdout.num_rows)
        )
        return math.exp(-min(high, _MAX_LOSS)), math.exp(-low)
    sums = group_sums(effects, holdout.groups)
    return delta_interval(value, sums, holdout.num_rows, "logit", float(len(sums)))
