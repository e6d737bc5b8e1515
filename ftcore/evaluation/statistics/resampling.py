"""Vectorised resampling for metrics of summed counts: BCa bootstrap and paired permutation, without touching rows again.

Macro metrics depend on a resample only through counts per class, text metrics only through sums of row statistics. So equal
rows are merged into cells (target and predictions), a resample draws a weight per cell, and one matrix product turns weights
into counts. Rows that come in groups are resampled by group: then each group is a unit of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from ftcore.evaluation.rows import Floats, Ints

NUM_RESAMPLES = 10_000
SEED = 20_261
_CHUNK = 500  # resamples at a time: bounds memory
_MAX_UNITS = 2_000
_MAX_WORK = (
    6_000  # row draws per resample: about 0.5 s for all; the delta method takes over (docs/decision-statistics.md)
)
_MAX_FEATURES = 2e7
_MULTINOMIAL_COST = 15  # one cell of a multinomial costs about as much as 15 row draws (measured)
_NORMAL = NormalDist()

Statistic = Callable[[Floats], Floats]
"""Counts [resamples, 3 per model, classes] to values [resamples]."""


@dataclass(frozen=True)
class Units:
    """What is drawn in a resample: distinct cells with their number of rows, or groups."""

    size: Floats
    """[units] how many rows of this kind there are (groups: 1 each)."""
    features: np.ndarray | None
    """[units, 3 per model x classes] float32 counts of one such unit (sums of statistics: [units, models x statistics] float64);
    None: too many units to resample."""
    num_classes: int
    """Classes, or statistics per model: the last axis of what a `Statistic` gets."""

    @property
    def num_draws(self) -> int:
        return int(self.size.sum())


def units_of(codes: Sequence[Ints], groups: Ints | None, num_classes: int) -> Units:
    """Units of the rows with target codes[0] and predictions codes[1:]."""
    if groups is None:
        key = np.zeros(len(codes[0]), dtype=np.int64)
        for column in codes:
            key = key * num_classes + column
        _, first, size = np.unique(key, return_index=True, return_counts=True)
        owner, rows = np.arange(len(first)), first
    else:
        size, owner, rows = np.ones(int(groups.max()) + 1, dtype=np.int64), groups, np.arange(len(groups))
    width = 3 * (len(codes) - 1) * num_classes
    work = min(int(size.sum()), _MULTINOMIAL_COST * len(size))
    if work > _MAX_WORK or len(size) > _MAX_UNITS or len(size) * width > _MAX_FEATURES:
        return Units(size.astype(float), None, num_classes)
    features = np.zeros((len(size), width), dtype=np.float32)
    target = codes[0][rows]
    for model, column in enumerate(codes[1:]):
        predicted, start = column[rows], 3 * model * num_classes
        np.add.at(features, (owner, start + target), 1)
        np.add.at(features, (owner, start + num_classes + predicted), 1)
        np.add.at(features, (owner, start + 2 * num_classes + predicted), target == predicted)
    return Units(size.astype(float), features, num_classes)


def units_of_sums(statistics: Floats, groups: Ints | None, num_statistics: int) -> Units:
    """Units of rows [rows, models x statistics], or of groups, whose sums a metric is made of."""
    if groups is not None:
        sums = np.zeros((int(groups.max()) + 1, statistics.shape[1]))
        np.add.at(sums, groups, statistics)
        statistics = sums
    size = np.ones(len(statistics))
    too_many = len(size) > _MAX_UNITS or statistics.size > _MAX_FEATURES
    return Units(size, None if too_many else statistics, num_statistics)


def can_bootstrap(units: Units) -> bool:
    """False where resampling would take minutes; there the delta method takes over."""
    return units.features is not None


def bootstrap_quantiles(
    units: Units, statistic: Statistic, value: float, influence: Floats, probabilities: Sequence[float]
) -> list[float]:
    """BCa bootstrap limits (Efron 1987, JASA 82:171-185), 10,000 resamples, fixed seed.

    Args:
        value: The statistic on the data itself.
        influence: [units or rows] influence sums; their skewness is the acceleration (Efron & Tibshirani 1993, 22.5).
        probabilities: Wanted limits, for example .025 and .975.
    """
    draws = np.sort(np.concatenate([statistic(counts) for counts in _resamples(units)]))
    share = (np.searchsorted(draws, value, "left") + np.searchsorted(draws, value, "right")) / (2 * len(draws))
    bias = _NORMAL.inv_cdf(min(max(share, 0.5 / len(draws)), 1 - 0.5 / len(draws)))
    squares = float((influence**2).sum())
    acceleration = float((influence**3).sum()) / (6 * squares**1.5) if squares > 0 else 0.0
    limits = []
    for probability in probabilities:
        z = bias + _NORMAL.inv_cdf(probability)
        shrink = max(1 - acceleration * z, 0.1)
        limits.append(float(np.quantile(draws, _NORMAL.cdf(bias + z / shrink))))
    return limits


def _resamples(units: Units) -> Iterator[Floats]:
    assert units.features is not None
    rng = np.random.default_rng(SEED)
    num_units, num_draws = len(units.size), units.num_draws
    unit_of_draw = np.repeat(np.arange(num_units), units.size.astype(np.int64))
    by_index = num_draws < _MULTINOMIAL_COST * num_units
    for _ in range(NUM_RESAMPLES // _CHUNK):
        if by_index:
            drawn = unit_of_draw[rng.integers(0, num_draws, (_CHUNK, num_draws), dtype=np.int32)]
            flat = (drawn + np.arange(_CHUNK)[:, None] * num_units).ravel()
            weights = np.bincount(flat, minlength=_CHUNK * num_units).reshape(_CHUNK, num_units)
        else:
            weights = rng.multinomial(num_draws, units.size / num_draws, size=_CHUNK)
        yield _counts(weights, units.features, units.num_classes)


def _counts(weights: np.ndarray, features: np.ndarray, num_classes: int) -> Floats:
    totals = weights.astype(features.dtype) @ features
    if features.dtype == np.float32:  # counts, which float32 holds exactly
        totals = np.rint(totals)
    counts: Floats = totals.astype(float).reshape(len(weights), -1, num_classes)
    return counts


def swap_p_value(units: Units, statistic: Statistic, value: float) -> float:
    """One-sided permutation p-value of a difference between two models.

    If the models were equally good, swapping their predictions on any row (any group) would change nothing:
    p = (1 + #{difference after random swaps >= difference seen}) / (swaps + 1), Phipson & Smyth (2010).

    Args:
        units: Of two models: candidate first, then champion.
        statistic: Difference candidate minus champion from counts [swaps, 6, classes] (or sums [swaps, 2, statistics]).
    """
    assert units.features is not None
    half = units.features.shape[1] // 2
    candidate, champion = units.features[:, :half], units.features[:, half:]
    moving = (candidate != champion).any(axis=1)
    totals = units.size.astype(units.features.dtype) @ units.features
    size, step = units.size[moving].astype(np.int64), (candidate - champion)[moving]
    rng = np.random.default_rng(SEED)
    as_large = 0
    for _ in range(NUM_RESAMPLES // _CHUNK):
        moved = rng.binomial(size, 0.5, size=(_CHUNK, len(size))).astype(step.dtype) @ step
        swapped = np.concatenate([totals[:half] - moved, totals[half:] + moved], axis=1).astype(float)
        as_large += int((statistic(swapped.reshape(_CHUNK, -1, units.num_classes)) >= value - 1e-12).sum())
    return (1 + as_large) / (NUM_RESAMPLES + 1)


def sign_flip_p_value(sums: Floats) -> float:
    """One-sided sign-flip permutation p-value that the total of `sums` is not above 0.

    The sign of each group's sum of differences is as likely + as - if the models are equally good. Groups with sums of
    one size flip together as one binomial draw, so a million groups cost no more than a hundred.
    """
    sizes, counts = np.unique(np.abs(sums[sums != 0]), return_counts=True)
    rng = np.random.default_rng(SEED)
    flipped = np.zeros(NUM_RESAMPLES)
    for size, count in zip(sizes, counts, strict=True):
        flipped += size * (2 * rng.binomial(count, 0.5, NUM_RESAMPLES) - count)
    return float(1 + (flipped >= sums.sum() - 1e-9).sum()) / (NUM_RESAMPLES + 1)


def mcnemar_tail(num_won: int, num_lost: int) -> float:
    """P(Bin(won + lost, 1/2) >= won), exactly; 1 where no row is discordant.

    Summed in logarithms from the far end, so that it holds for millions of rows without scipy.
    """
    total = num_won + num_lost
    if total == 0 or num_won == 0:
        return 1.0
    if num_won < num_lost:  # the long side: one minus the short one
        return 1.0 - mcnemar_tail(num_lost + 1, num_won - 1)
    steps = np.arange(1, num_lost + 1)
    log_choose = np.concatenate([[0.0], np.cumsum(np.log((total - steps + 1) / steps))])
    peak = float(log_choose.max())
    log_sum = peak + math.log(float(np.exp(log_choose - peak).sum()))
    return min(1.0, math.exp(log_sum - total * math.log(2.0)))
