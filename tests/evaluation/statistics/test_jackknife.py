from __future__ import annotations

import numpy as np
import pytest

from ftcore.evaluation.rows import Floats
from ftcore.evaluation.statistics.intervals import standard_error
from ftcore.evaluation.statistics.jackknife import jackknife


def variance(sums: Floats) -> Floats:
    """Of n, sum and sum of squares [..., 3]; over n, so too small by one part in n."""
    return sums[..., 2] / sums[..., 0] - (sums[..., 1] / sums[..., 0]) ** 2


def test_it_finds_the_bias_of_a_variance_exactly() -> None:
    x = np.random.default_rng(2).normal(size=30)
    parts = np.stack([np.ones(30), x, x**2], axis=1)
    found = jackknife(variance, parts.sum(axis=0), parts, np.ones(30, np.int64), 30)
    assert x.var() - found.bias == pytest.approx(x.var(ddof=1))
    assert found.sums.sum() == pytest.approx(0, abs=1e-9)


def test_of_a_mean_it_is_the_usual_standard_error_and_no_bias() -> None:
    x = np.array([0.0, 0.0, 1.0, 0.25])
    parts = np.stack([np.ones(4), x], axis=1)
    found = jackknife(lambda sums: sums[..., 1] / sums[..., 0], parts.sum(axis=0), parts, np.ones(4, np.int64), 4)
    assert found.bias == pytest.approx(0, abs=1e-12)
    assert standard_error(found.sums, 4) == pytest.approx(x.std(ddof=1) / 2)
    merged = jackknife(lambda sums: sums[..., 1] / sums[..., 0], parts.sum(axis=0), parts[1:], np.array([2, 1, 1]), 4)
    np.testing.assert_allclose(np.sort(merged.sums), np.sort(found.sums))


def test_of_one_unit_nothing_is_known() -> None:
    found = jackknife(lambda sums: sums[..., 0], np.ones(2), np.ones((1, 2)), np.ones(1, np.int64), 1)
    assert found.bias == 0 and found.sums.tolist() == [0]
