"""Two-sample tests between a reference window and a current one, each with a p-value, an effect size and a floor.

Four looks at production, after "Failing Loudly" (Rabanser et al., NeurIPS 2019), which found tests on a classifier's own
outputs the strongest single signal, joined by one multivariate test on its embeddings:

- `labels`: predicted classes, Pearson's statistic under exact resampling of the pooled labels;
- `confidence`: Kolmogorov-Smirnov on the probability of the predicted class;
- `length`: Kolmogorov-Smirnov on the number of characters;
- `embeddings`: kernel two-sample test (MMD; Gretton et al., JMLR 2012) with an RBF kernel, bandwidth from the median
  distance, permutations.

Generated replies are no classes; in the place of `labels` stand three tests of how a model writes:

- `reply_length`: Kolmogorov-Smirnov on the characters of the reply;
- `ended`: the share of replies that the model ended itself, tested as `labels` are with two classes;
- `repeats`: the share of rows whose reply another row of the window has word by word, under redrawing of the pooled replies.

All resampling tests are exact for exchangeable rows at any window size, unlike asymptotic chi-square with rare classes.
Holm's correction over whatever tests could run keeps the family-wise false-alarm rate. A floor under the effect size
keeps changes that are real but small from raising alarms in large windows.

Effect sizes run from 0 (none) to 1 (the windows share nothing). If a share of the traffic is of a wholly new kind, each is
at most about that share.

| test | effect | what 0.1 means |
|---|---|---|
| labels, ended | total variation distance, less its mean under no change | 10 % of the traffic moved to other classes |
| confidence, length, reply_length | KS distance | at some value, the cumulative shares differ by 10 points |
| repeats | difference of the shares, less its mean under no change | 10 % more, or fewer, of the replies are repeated ones |
| embeddings | 2 AUC - 1 of the kernel's own classifier, leave-one-out | it tells current rows from reference rows with AUC 0.55 |
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp, rankdata

from ftcore.records import DriftTest

Floats = NDArray[np.floating]

MMD_ROWS = 1_000
"""Rows per side of the kernel test; larger windows are subsampled (the kernel matrix grows with the square)."""

NUM_TESTS, NUM_REPLY_TESTS = 4, 6
"""How many tests there are at most: for classes, for replies."""


@dataclass(frozen=True)
class Sample:
    """One window, column by column; a column that is not there is None and its test does not run."""

    labels: Sequence[str] | None = None
    confidence: Floats | None = None
    """[rows] probability of the predicted class; of a reply the geometric mean over its tokens."""
    length: Floats | None = None
    """[rows] characters."""
    embeddings: Floats | None = None
    """[rows, dimensions]"""
    replies: Sequence[str] | None = None
    """Generated texts; a sample with replies has no labels."""
    ended: Sequence[bool] | None = None
    """Whether the model ended the reply itself."""

    @property
    def reply_length(self) -> Floats | None:
        """[rows] characters of the reply."""
        return None if self.replies is None else np.array([float(len(reply)) for reply in self.replies])


def compare_windows(
    reference: Sample, current: Sample, *, alpha: float = 0.01, min_effect: float = 0.1, seed: int = 0
) -> list[DriftTest]:
    """Run every test whose column both windows have, Holm-adjusted together.

    Args:
        alpha: Wanted family-wise level; sets the number of resamples, so that `p_adjusted` can get well below it.
        min_effect: Floor recorded with every test.
        seed: Of the resampling: the same windows and seed give the same report.
    """
    writes = reference.replies is not None and current.replies is not None
    resamples = num_resamples(alpha, NUM_REPLY_TESTS if writes else NUM_TESTS)
    rng = np.random.default_rng(seed)
    tests = []
    if reference.labels is not None and current.labels is not None:
        tests.append(label_test(reference.labels, current.labels, resamples, rng))
    if reference.confidence is not None and current.confidence is not None:
        tests.append(ks_test("confidence", reference.confidence, current.confidence))
    if reference.length is not None and current.length is not None:
        tests.append(ks_test("length", reference.length, current.length))
    if reference.embeddings is not None and current.embeddings is not None:
        tests.append(mmd_test(reference.embeddings, current.embeddings, resamples, rng))
    if reference.reply_length is not None and current.reply_length is not None:
        tests.append(ks_test("reply_length", reference.reply_length, current.reply_length))
    if reference.ended is not None and current.ended is not None:
        sides = [[str(bool(ended)) for ended in side] for side in (reference.ended, current.ended)]
        tests.append(replace(label_test(sides[0], sides[1], resamples, rng), name="ended"))
    if reference.replies is not None and current.replies is not None:
        tests.append(repeats_test(reference.replies, current.replies, resamples, rng))
    return holm([replace(test, floor=min_effect) for test in tests])


def num_resamples(alpha: float, num_tests: int = NUM_TESTS) -> int:
    """Resamples B, so that the smallest possible p = 1 / (B + 1) stays under alpha even after Holm over all tests.

    At least 999; otherwise 2.5 times the bare minimum.
    """
    return max(999, math.ceil(2.5 * num_tests / alpha))


def label_test(reference: Sequence[str], current: Sequence[str], resamples: int, rng: np.random.Generator) -> DriftTest:
    """Has the mix of classes changed? Pearson's chi-square, p by redrawing the current window from the pooled labels.

    The redraw keeps both margins (multivariate hypergeometric), as Fisher's exact test does, so rare and empty classes
    are safe. The effect is the total variation distance minus its mean over the redraws: raw distances between finite
    samples are never 0 (about 0.1 for 20 classes and two windows of 500).
    """
    names = sorted({*reference, *current})
    index = {name: position for position, name in enumerate(names)}
    before = np.bincount([index[label] for label in reference], minlength=len(names)).astype(np.int64)
    now = np.bincount([index[label] for label in current], minlength=len(names)).astype(np.int64)
    pooled = before + now
    n_now = int(now.sum())
    drawn = rng.multivariate_hypergeometric(pooled, n_now, size=resamples)
    expected = pooled * (n_now / pooled.sum())
    # With both margins fixed, the statistic over the current window alone orders tables as Pearson's full one does.
    statistic = float((((now - expected) ** 2) / expected).sum())
    null = (((drawn - expected) ** 2) / expected).sum(axis=1)
    p_value = _resampled_p(statistic, null)
    distance = _total_variation(before, now)
    chance = float(np.abs((pooled - drawn) / before.sum() - drawn / n_now).sum(axis=1).mean() / 2)
    full = statistic * (1 + n_now / float(before.sum()))
    return DriftTest(
        name="labels", statistic=full, p_value=p_value, p_adjusted=p_value,
        effect=max(0.0, distance - chance), floor=0.0,
    )  # fmt: skip


def repeated_share(replies: Sequence[str]) -> float:
    """Share of the rows whose reply another row has word by word."""
    return sum(count for count in Counter(replies).values() if count > 1) / max(1, len(replies))


def repeats_test(
    reference: Sequence[str], current: Sequence[str], resamples: int, rng: np.random.Generator
) -> DriftTest:
    """Does the model repeat itself more, or less? Difference of the shares of repeated replies, p (two-sided) by redrawing the
    current window from the pooled replies: a larger window repeats more by chance alone, and so do its redraws."""
    names = {reply: position for position, reply in enumerate(dict.fromkeys([*reference, *current]))}
    before, now = (np.bincount([names[reply] for reply in side], minlength=len(names)) for side in (reference, current))
    pooled = before + now
    drawn = rng.multivariate_hypergeometric(pooled, len(current), size=resamples)

    def difference(here: NDArray[np.int64], there: NDArray[np.int64]) -> Floats:
        shares = [np.where(side > 1, side, 0).sum(axis=-1) / side.sum(axis=-1) for side in (here, there)]
        return np.asarray(shares[0] - shares[1])

    observed, null = float(difference(now, before)), difference(drawn, pooled - drawn)
    chance = float(null.mean())
    p_value = _resampled_p(abs(observed - chance), np.abs(null - chance))
    return DriftTest(
        name="repeats",
        statistic=observed,
        p_value=p_value,
        p_adjusted=p_value,
        effect=abs(observed - chance),
        floor=0.0,
    )


def ks_test(name: str, reference: Floats, current: Floats) -> DriftTest:
    """Has the distribution of one number changed? Two-sided Kolmogorov-Smirnov; ties make it conservative."""
    result = ks_2samp(reference, current, method="auto")
    p_value = float(result.pvalue)
    distance = float(result.statistic)
    return DriftTest(name=name, statistic=distance, p_value=p_value, p_adjusted=p_value, effect=distance, floor=0.0)


def mmd_test(reference: Floats, current: Floats, resamples: int, rng: np.random.Generator) -> DriftTest:
    """Has the joint distribution of the embeddings changed? Unbiased MMD squared, p by permuting rows between windows."""
    x = _at_most(np.asarray(reference, dtype=np.float32), MMD_ROWS, rng)
    y = _at_most(np.asarray(current, dtype=np.float32), MMD_ROWS, rng)
    kernel = rbf_kernel(np.concatenate([x, y]))
    n, m = len(x), len(y)
    observed = float(_mmd_squared(kernel, _assignments(n, m, 1, None))[0])
    null = np.concatenate([_mmd_squared(kernel, _assignments(n, m, size, rng)) for size in _chunks(resamples, 500)])
    p_value = _resampled_p(observed, null)
    effect = max(0.0, 2 * _witness_auc(witness(kernel, n), n) - 1)
    return DriftTest(
        name="embeddings", statistic=observed, p_value=p_value, p_adjusted=p_value, effect=effect, floor=0.0
    )


def rbf_kernel(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """[n, n] kernel exp(-d^2 / (0.1 median d^2)), diagonal 1.

    The plain median heuristic has the width of the whole cloud. Embeddings of a classifier lie in one cluster per class, and a
    new kind of message is a new cluster, so a width near that of a cluster sees it with about half the rows.
    """
    centred = rows - rows.mean(axis=0)
    squares = (centred**2).sum(axis=1)
    distances = squares[:, None] + squares[None, :] - 2.0 * (centred @ centred.T)
    np.maximum(distances, 0.0, out=distances)
    # Some hundred thousand pairs give the median to three digits; sorting all two million costs as much as the rest.
    step = max(1, len(rows) // 500)
    sample = distances[::step, ::step]
    median = float(np.median(sample[np.triu_indices(len(sample), k=1)])) if len(sample) > 1 else 0.0
    kernel: NDArray[np.float32] = np.exp(distances / np.float32(-(0.1 * median or 1.0)))
    np.fill_diagonal(kernel, 1.0)
    return kernel


def witness(kernel: NDArray[np.float32], n: int) -> NDArray[np.float64]:
    """[rows] how much more a row resembles the current window than the reference (the first `n` rows).

    Mean similarity to current rows less mean similarity to reference rows, the row itself left out: the classifier that
    MMD implies.
    """
    m = len(kernel) - n
    to_reference = kernel[:, :n].sum(axis=1, dtype=np.float64)
    to_current = kernel[:, n:].sum(axis=1, dtype=np.float64)
    to_reference[:n] = (to_reference[:n] - 1.0) / (n - 1)
    to_reference[n:] /= n
    to_current[:n] /= m
    to_current[n:] = (to_current[n:] - 1.0) / (m - 1)
    scores: NDArray[np.float64] = to_current - to_reference
    return scores


def most_unlike(reference: Floats, current: Floats, count: int, rng: np.random.Generator) -> list[int]:
    """Indices of the current rows that are least like the reference, strongest first: examples for a reader."""
    x = _at_most(np.asarray(reference, dtype=np.float32), MMD_ROWS, rng)
    chosen = np.sort(rng.permutation(len(current))[:MMD_ROWS])
    kernel = rbf_kernel(np.concatenate([x, np.asarray(current, dtype=np.float32)[chosen]]))
    scores = witness(kernel, len(x))[len(x) :]
    return [int(chosen[position]) for position in np.argsort(-scores, kind="stable")[:count]]


def _witness_auc(scores: NDArray[np.float64], n: int) -> float:
    """Chance that a random current row scores above a random reference row (the first `n`)."""
    m = len(scores) - n
    ranks = rankdata(scores)
    return float((ranks[n:].sum() - m * (m + 1) / 2) / (n * m))


def holm(tests: Sequence[DriftTest]) -> list[DriftTest]:
    """Holm's step-down adjustment (Holm 1979): reject where `p_adjusted` < alpha, family-wise level alpha."""
    order = sorted(range(len(tests)), key=lambda position: tests[position].p_value)
    adjusted = [0.0] * len(tests)
    running = 0.0
    for rank, position in enumerate(order):
        running = max(running, min(1.0, (len(tests) - rank) * tests[position].p_value))
        adjusted[position] = running
    return [replace(test, p_adjusted=p) for test, p in zip(tests, adjusted, strict=True)]


def _resampled_p(observed: float, null: Floats) -> float:
    """(1 + how many resamples are at least as extreme) / (1 + resamples): never 0, and valid at any number of resamples."""
    at_least = int((null >= observed - 1e-9 * max(1.0, abs(observed))).sum())
    return (1 + at_least) / (1 + len(null))


def _total_variation(before: NDArray[np.int64], now: NDArray[np.int64]) -> float:
    return float(np.abs(before / before.sum() - now / now.sum()).sum() / 2)


def _at_most(rows: NDArray[np.float32], count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    if len(rows) <= count:
        return rows
    return rows[np.sort(rng.choice(len(rows), count, replace=False))]


def _assignments(n: int, m: int, size: int, rng: np.random.Generator | None) -> NDArray[np.float32]:
    """[size, n + m] rows of n ones and m zeros: who is in the reference; without `rng`, the true assignment."""
    rows = np.zeros((size, n + m), dtype=np.float32)
    rows[:, :n] = 1.0
    return rows if rng is None else rng.permuted(rows, axis=1)


def _mmd_squared(kernel: NDArray[np.float32], chosen: NDArray[np.float32]) -> NDArray[np.float64]:
    """Unbiased MMD squared of every row of `chosen` [size, n + m], all by one matrix product."""
    row_sums = kernel.sum(axis=1, dtype=np.float64)
    total = float(row_sums.sum())
    n = float(chosen[0].sum())
    m = len(kernel) - n
    within_x = np.einsum("ij,ij->i", chosen, chosen @ kernel, dtype=np.float64)
    across = chosen @ row_sums - within_x
    within_y = total - 2 * across - within_x
    mmd: NDArray[np.float64] = (within_x - n) / (n * (n - 1)) + (within_y - m) / (m * (m - 1)) - 2 * across / (n * m)
    return mmd


def _chunks(total: int, size: int) -> list[int]:
    return [min(size, total - start) for start in range(0, total, size)]
