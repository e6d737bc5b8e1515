from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from ftcore.evaluation.statistics.intervals import (
    Scale,
    degrees_of_freedom,
    delta_interval,
    design_effect,
    jeffreys,
    mean_of_proportions_interval,
    proportion_interval,
    standard_error,
    wilson,
)

NUMBERS = st.lists(st.floats(0, 1, allow_subnormal=False), min_size=1, max_size=50)


def test_wilson_as_published() -> None:
    low, high = wilson(81, 263)  # Newcombe (1998), Statistics in Medicine 17:857-872, table I
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert wilson(0, 20)[0] == 0.0
    assert wilson(20, 20)[1] == 1.0


def test_design_effect_is_one_for_rows_that_stand_alone() -> None:
    assert design_effect(np.array([0.5, -0.5]), None) == 1.0


@given(NUMBERS)
def test_the_standard_error_of_a_mean_is_the_usual_one(numbers: list[float]) -> None:
    values = np.array(numbers)
    if len(values) > 1:
        usual = values.std(ddof=1) / math.sqrt(len(values))
        assert standard_error(values - values.mean(), len(values)) == pytest.approx(usual, abs=1e-12)


@given(NUMBERS, st.sampled_from(["logit", "fisher"]))
def test_an_interval_of_a_mean_holds_it_and_stays_in_range(numbers: list[float], scale: Scale) -> None:
    values = np.array(numbers)
    mean = float(values.mean())
    low, high = delta_interval(mean, values - mean, len(values), scale, float(len(values)))
    assert (0 if scale == "logit" else -1) <= low <= mean + 1e-12 and mean - 1e-12 <= high <= 1


def test_rows_that_all_say_the_same_leave_room() -> None:
    assert delta_interval(1.0, np.zeros(50), 50, "logit", 50.0) == wilson(50, 50)
    low, high = delta_interval(-1.0, np.zeros(50), 50, "fisher", 50.0)
    assert (low, high) == (-1.0, pytest.approx(2 * wilson(0, 50)[1] - 1))
    assert delta_interval(0.4, np.zeros(1), 9, "logit", 9.0) == (0.0, 1.0)  # one group
    assert delta_interval(0.4, np.zeros(1), 9, "log", 9.0) == (0.0, math.inf)


def test_scales_are_symmetric_on_themselves() -> None:
    sums = np.tile([1.0, -1.0], 200)
    low, high = delta_interval(0.9, sums, 400, "logit", 400.0)
    assert math.log(high / (1 - high)) + math.log(low / (1 - low)) == pytest.approx(2 * math.log(9))
    low, high = delta_interval(2.5, sums, 400, "log", 400.0)
    assert low * high == pytest.approx(2.5**2) and high / low > 1
    low, high = delta_interval(0.6, sums, 400, "fisher", 400.0)
    assert math.atanh(low) + math.atanh(high) == pytest.approx(2 * math.atanh(0.6))
    assert delta_interval(1e-9, sums, 2, "log", 2.0)[1] < math.inf


def test_groups_widen_a_proportion() -> None:
    right = np.repeat(np.tile([0.0, 1.0], 20), 5)
    alone, grouped = (proportion_interval(right, groups) for groups in (None, np.repeat(np.arange(40), 5)))
    assert (grouped[1] - grouped[0]) / (alone[1] - alone[0]) == pytest.approx(5**0.5, rel=0.1)
    assert proportion_interval(right, np.zeros(200, np.int64)) == wilson(0.5, 1.0)


def test_jeffreys_limits_as_published_and_at_the_ends() -> None:
    low, high = jeffreys(np.array([5.0, 0.0, 20.0, 0.0]), np.array([20.0, 20.0, 20.0, 0.0]))
    assert low.tolist()[1:] == [0, pytest.approx(0.883, abs=1e-3), 0] and high.tolist()[2:] == [1, 1]
    assert (low[0], high[0]) == (pytest.approx(beta.ppf(0.025, 5.5, 15.5)), pytest.approx(beta.ppf(0.975, 5.5, 15.5)))
    assert high[1] == pytest.approx(1 - low[2])


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=8), st.floats(1, 9))
def test_the_interval_of_a_mean_of_proportions_holds_it_and_widens(pairs: list[tuple[int, int]], design: float) -> None:
    right, wrong = np.array(pairs, dtype=float).T
    rows = right + wrong
    mean = float(np.divide(right, rows, out=np.zeros_like(right), where=rows > 0).mean())
    low, high = mean_of_proportions_interval(right, rows, mean, 1.0, 1000)
    assert 0 <= low <= mean <= high <= 1
    wide_low, wide_high = mean_of_proportions_interval(right, rows, mean, design, 1000)
    assert wide_low <= low + 1e-9 and high <= wide_high + 1e-9
    assert mean_of_proportions_interval(right, rows, mean, 1.0, 1) == (0, 1)


def test_one_proportion_keeps_its_own_limits() -> None:
    right, rows = np.array([18.0]), np.array([20.0])
    low, high = (limit[0] for limit in jeffreys(right, rows))
    assert mean_of_proportions_interval(right, rows, 0.9, 1.0, 10**6) == pytest.approx((low, high), abs=1e-4)


def test_degrees_of_freedom_are_few_where_few_rows_decide() -> None:
    even = np.tile([1.0, -1.0], 100)
    assert degrees_of_freedom(even) == 199
    rare = np.concatenate([np.tile([10.0, -10.0], 4), np.zeros(192)])
    assert degrees_of_freedom(rare) == pytest.approx(2 * 8 / (1 - 8 / 200))  # as if there were those 8 rows, twice
    assert degrees_of_freedom(np.zeros(5)) == 4
    wide, narrow = (delta_interval(0.8, rare, 200, "logit", 200.0, df) for df in (degrees_of_freedom(rare), None))
    assert wide[0] < narrow[0] and wide[1] > narrow[1]
