"""Metrics of probabilities, not only of the class named: ROC-AUC, Brier score and expected calibration error.

Probabilities are those of the model; a target that it does not know has probability 0 on every row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ftcore.evaluation.rows import Floats, Ints, Probabilities, group_sums
from ftcore.evaluation.statistics.intervals import degrees_of_freedom, delta_interval, design_effect
from ftcore.evaluation.statistics.power import t_quantile

PROBABILITY_METRICS = ("roc_auc", "brier", "ece")
NUM_BINS = 15
_LARGEST_SCALE = 1e6
_HALVINGS = 40


@dataclass(frozen=True)
class Measured:
    """A metric and what its interval is made of."""

    name: str
    value: float
    influence: Floats
    """[rows]"""
    bins: Ints | None = None
    """[rows] the bin of the row (ECE)."""
    gaps: Floats | None = None
    """[rows] confidence minus 1 if right, else 0 (ECE)."""

    def interval(self, groups: Ints | None, effective: float) -> tuple[float, float]:
        """95 %, both sides; `effective` as `delta_interval` wants it."""
        if self.bins is not None and self.gaps is not None:
            return ece_interval(self.value, self.bins, self.gaps, groups)
        sums = group_sums(self.influence, groups)
        num_rows = len(self.influence)
        if self.name == "brier":
            effective = float(len(sums))
        df = degrees_of_freedom(sums) if self.name == "roc_auc" else None
        return delta_interval(self.value, sums, num_rows, "logit", effective, df)


def measure(name: str, found: Probabilities) -> Measured | str:
    """One of `PROBABILITY_METRICS`; a sentence where it is not defined."""
    if name == "roc_auc":
        return roc_auc(found)
    return brier(found) if name == "brier" else ece(found)


def roc_auc(found: Probabilities) -> Measured | str:
    """Area under the ROC curve: one class against the rest, mean over the classes among the targets; with two classes the usual.

    The chance that a row of the class has a higher probability of it than another row, ties counted half (Hanley & McNeil 1982).
    Influences are the placements of DeLong et al. (1988), Biometrics 44:837-845.
    """
    present = np.unique(found.target)
    if len(present) < 2:
        return "all targets are of one class"
    classes = present[1:] if found.values.shape[1] == 2 else present  # one curve is the mirror of the other
    areas, effects = [], np.zeros(len(found.target))
    for code in classes:
        area, effect = _area(found.values[:, code], found.target == code)
        areas.append(area)
        effects += effect
    return Measured("roc_auc", float(np.mean(areas)), effects / len(classes))


def _area(scores: Floats, positive: np.ndarray) -> tuple[float, Floats]:
    inside, outside = np.sort(scores[positive]), np.sort(scores[~positive])
    below = (
        np.searchsorted(outside, scores[positive], "left") + np.searchsorted(outside, scores[positive], "right")
    ) / 2
    above = (
        np.searchsorted(inside, scores[~positive], "left") + np.searchsorted(inside, scores[~positive], "right")
    ) / 2
    area = float(below.mean()) / len(outside)
    effect = np.empty(len(scores))
    effect[positive] = (below / len(outside) - area) * len(scores) / len(inside)
    effect[~positive] = (1 - above / len(inside) - area) * len(scores) / len(outside)
    return area, effect


def brier(found: Probabilities) -> Measured:
    """Half the mean squared distance of the probabilities from the truth (Brier 1950), 0 to 1; of two classes the usual score."""
    hit = found.values[np.arange(len(found.target)), found.target]
    rows = ((found.values**2).sum(axis=1) - 2 * hit + 1) / 2
    return Measured("brier", float(rows.mean()), rows - rows.mean())


def ece(found: Probabilities) -> Measured:
    """Expected calibration error, 0 to 1: how far confidence and accuracy lie apart in 15 bins with equally many rows each.

    Guo et al. (2017), "On calibration of modern neural networks", with the bins of equal mass of Nixon et al. (2019): bins of
    equal width are mostly empty for a sure model. Confidence is the highest probability. Never 0 on few rows, even where the
    model is calibrated: noise in a bin counts as error. The interval takes that noise out.
    """
    confidence, predicted = found.values.max(axis=1), found.values.argmax(axis=1)
    gaps = confidence - (predicted == found.target)
    num_rows = len(gaps)
    bins = np.empty(num_rows, dtype=np.int64)
    bins[np.argsort(confidence, kind="stable")] = np.arange(num_rows) * min(NUM_BINS, num_rows) // num_rows
    means = np.bincount(bins, weights=gaps) / np.bincount(bins)
    value = float(np.abs(means)[bins].mean())
    return Measured("ece", value, np.sign(means)[bins] * gaps - value, bins, gaps)


def ece_interval(value: float, bins: Ints, gaps: Floats, groups: Ints | None) -> tuple[float, float]:
    """95 % interval of the calibration error without noise: the errors under which a value as high, or as low, is still likely.

    In each bin the gap between confidence and accuracy is about normal with the noise s around its true value, so the mean and
    variance of the sum of absolute gaps are those of folded normals (Leone et al. 1961, Technometrics 3:543-550). The true
    gaps are taken as c sqrt(d^2 + s^2 / 4) with d the gaps seen; the interval is that of c, by inverting the two one-sided tests.
    The quarter of s^2 is empirical: without it the upper end is too low by simulation (0.930 held instead of 0.955).

    Args:
        bins: [rows] codes, none empty.
        gaps: [rows] confidence minus 1 or 0.
        groups: [rows]; their effect widens the noise in the bins and of the whole.
    """
    num_units = len(gaps) if groups is None else int(groups.max()) + 1
    if num_units < 2:  # one group says as much as one row
        return 0.0, 1.0
    sizes, means, noise = bin_noise(bins, gaps, groups)
    weights = sizes / len(gaps)
    true = np.sqrt(means**2 + noise**2 / 4)
    design = design_effect(np.sign(means)[bins] * gaps - value, groups) / _design(gaps - means[bins], bins, groups)
    t = t_quantile(0.975, num_units - 1)

    def bound(sign: int) -> float:
        def reached(scale: float) -> float:
            mean, variance = _folded(scale * true, noise, weights, len(gaps))
            return mean + sign * t * math.sqrt(variance * max(design, 1.0))

        return _solve(reached, value) * float((weights * true).sum())

    return min(bound(1), value), min(1.0, max(bound(-1), value))


def bin_noise(bins: Ints, gaps: Floats, groups: Ints | None) -> tuple[Floats, Floats, Floats]:
    """Rows of each bin, the mean of their gaps and its standard error, the effect of groups included; all [bins]."""
    sizes = np.bincount(bins).astype(float)
    means = np.bincount(bins, weights=gaps) / sizes
    right = np.bincount(bins, weights=gaps <= 0) + 1  # one more right and one more wrong: no bin is without noise
    variance = right / (sizes + 2) * (1 - right / (sizes + 2)) / sizes
    return sizes, means, np.sqrt(variance * _design(gaps - means[bins], bins, groups))


def _design(rest: Floats, bins: Ints, groups: Ints | None) -> float:
    """Variance of the bins' means with rows in groups, over that of independent rows; >= 1."""
    independent = float((rest**2).sum())
    if groups is None or independent == 0:
        return 1.0
    sums = np.bincount(np.unique(groups * NUM_BINS + bins, return_inverse=True)[1], weights=rest)
    return max(1.0, float((sums**2).sum()) / independent)


def _folded(gaps: Floats, noise: Floats, weights: Floats, num_rows: int) -> tuple[float, float]:
    """Mean and variance of the weighted sum of |gap + noise|; rows that fall into bins by chance add to the variance."""
    below = np.array([math.erf(ratio / math.sqrt(2)) for ratio in gaps / noise])
    folded = noise * math.sqrt(2 / math.pi) * np.exp(-((gaps / noise) ** 2) / 2) + gaps * below
    between = float((weights * (gaps - (weights * gaps).sum()) ** 2).sum()) / num_rows
    variance = float((weights**2 * (gaps**2 + noise**2 - folded**2)).sum())
    return float((weights * folded).sum()), max(variance, 0.0) + between


def _solve(rising: Callable[[float], float], wanted: float) -> float:
    """Where a rising function of a number above 0 reaches `wanted`; 0 where it is above from the start."""
    low, high = 0.0, 1.0
    if rising(low) >= wanted:
        return low
    while rising(high) < wanted and high < _LARGEST_SCALE:
        high *= 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < wanted else (low, middle)
    return high
