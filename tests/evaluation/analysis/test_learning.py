from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.evaluation.analysis.learning import learnability, learning_curve, predicted_error
from ftcore.evaluation.analysis.probe import Probe

SIZES = np.array([100.0, 200.0, 400.0, 700.0, 1000.0])


def probe_of(errors: np.ndarray, num_test: int = 1000) -> Probe:
    right = np.array([[float(row >= error * num_test) for row in range(num_test)] for error in errors])
    return Probe(tuple(int(size) for size in SIZES), right, ("a", "b"), np.zeros((num_test, 2)), False)


@pytest.mark.parametrize(("power", "floor"), [(0.3, 0.0), (0.7, 0.0), (0.5, 0.5)])
def test_a_power_law_is_continued(power: float, floor: float) -> None:
    scale = 0.6 * 100.0**power
    errors = floor * 0.1 + scale * SIZES**-power
    ahead = floor * 0.1 + scale * 2000.0**-power
    assert predicted_error(SIZES, errors, 2000) == pytest.approx(ahead, rel=0.05)


@given(st.lists(st.floats(0.0, 1.0), min_size=5, max_size=5))
def test_more_data_are_never_promised_to_harm_nor_to_work_wonders(errors: list[float]) -> None:
    found = predicted_error(SIZES, np.array(errors), 2000)
    assert 0.0 <= found <= errors[-1] + 1e-12


def test_the_curve_has_a_range_around_its_forecast() -> None:
    found = learning_curve(probe_of(0.6 * (SIZES / 100) ** -0.5))
    assert found is not None
    assert [item["num_train"] for item in found["points"]] == SIZES.tolist()
    assert found["twice"]["num_train"] == 2000
    assert 0 < found["gain_low"] < found["gain"] < found["gain_high"] <= 1 - found["points"][-1]["accuracy"]
    assert found["twice"]["accuracy"] == pytest.approx(found["points"][-1]["accuracy"] + found["gain"])


def test_a_flat_curve_promises_nothing_and_a_short_one_is_none() -> None:
    flat = learning_curve(probe_of(np.full(5, 0.3)))
    assert flat is not None and flat["gain"] == pytest.approx(0.0, abs=1e-9)
    perfect = learning_curve(probe_of(np.zeros(5)))
    assert perfect is not None and perfect["gain"] == 0.0
    short = Probe((10, 20), np.ones((2, 5)), ("a",), np.zeros((5, 1)), False)
    assert learning_curve(short) is None and learning_curve(None) is None


def test_rows_in_groups_widen_the_intervals() -> None:
    probe = probe_of(np.full(5, 0.4))
    alone, grouped = learning_curve(probe), learning_curve(probe, np.arange(1000) // 100)
    assert alone is not None and grouped is not None
    assert grouped["points"][-1]["ci_low"] < alone["points"][-1]["ci_low"] - 0.05


def test_learnability_is_the_share_that_twice_the_rows_take_away() -> None:
    assert learnability(0.6, 100, 0.8, 200, 0.2) == pytest.approx(0.5)
    assert learnability(0.6, 100, 0.8, 400, 0.2) == pytest.approx(1 - 0.5**0.5)
    assert learnability(0.6, 100, 0.5, 200, 0.2) == 0.0
    assert learnability(1.0, 100, 1.0, 200, 0.2) == 0.2
