from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from ftcore.evaluation.analysis.conditions import Condition, Feature, features_of
from ftcore.evaluation.analysis.slices import benjamini_hochberg, find_slices
from ftcore.evaluation.rows import Column, Floats


def features(num_rows: int, rng: np.random.Generator) -> list[Feature]:
    columns = {
        name: Column(tuple(f"{name}{code}" for code in range(size)), rng.integers(0, size, num_rows))
        for name, size in (("source", 20), ("device", 3))
    }
    return features_of(columns, {"words": rng.integers(1, 40, num_rows).astype(float).tolist()}, 50)


def errors(rng: np.random.Generator, rate: np.ndarray) -> Floats:
    return (rng.random(len(rate)) < rate).astype(float)


def planted(found: list[Feature], value: str) -> np.ndarray:
    return next(feature.values for feature in found if feature.value == value) > 0.5


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30))
def test_adjusted_p_values_are_those_of_scipy(p_values: list[float]) -> None:
    assert benjamini_hochberg(p_values) == pytest.approx(false_discovery_control(p_values).tolist())


def test_a_planted_slice_is_found_with_figures_of_the_rows_that_confirmed_it() -> None:
    rng = np.random.default_rng(1)
    made = features(8_000, rng)
    bad = planted(made, "source7")
    found = find_slices(made, errors(rng, 0.2 + 0.2 * bad))
    assert [item.conditions for item in found] == [(Condition("source", "is", "source7"),)]
    item = found[0]
    assert item.n == bad.sum() and item.n_confirmed < item.n
    assert item.loss - item.rest > 0.1 and item.ci_low < item.loss - item.rest < item.ci_high and item.q_value <= 0.1
    json.dumps(item.to_dict())


def test_without_a_bad_slice_hardly_ever_one_is_shown() -> None:
    rng = np.random.default_rng(2)
    shown = 0
    for seed in range(25):
        made = features(2_000, rng)
        shown += bool(find_slices(made, errors(rng, np.full(2_000, 0.2)), seed=seed))
    assert shown <= 3  # 5 % would be 1; benchmarks/slices.py has the rates


def test_errors_that_go_together_in_groups_are_no_evidence() -> None:
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(60), 20)
    column = Column(("a", "b", "c"), np.repeat(rng.integers(0, 3, 60), 20))
    made = features_of({"source": column}, {}, 50)
    grouped, alone = 0, 0
    for seed in range(25):
        loss = np.repeat((rng.random(60) < 0.3).astype(float), 20)
        grouped += bool(find_slices(made, loss, groups, seed=seed))
        alone += bool(find_slices(made, loss, seed=seed))
    assert grouped <= 3 < alone


def test_a_loss_against_the_champion_is_judged_by_itself() -> None:
    """A slice on which the candidate gains less than elsewhere has lost nothing."""
    rng = np.random.default_rng(4)
    made = features(6_000, rng)
    other = planted(made, "device1")
    change = np.where(other, 0.0, -errors(rng, np.full(6_000, 0.4)))
    assert find_slices(made, change) != []
    assert find_slices(made, change, against_rest=False) == []
    bad = planted(made, "source3")
    lost = find_slices(made, np.where(bad, errors(rng, np.full(6_000, 0.3)), change), against_rest=False)
    assert [str(item) for item in lost] == ["source is source3"] and lost[0].ci_low > 0


def test_a_slice_of_a_stronger_one_says_nothing_new() -> None:
    rng = np.random.default_rng(5)
    made = features(8_000, rng)
    bad = planted(made, "source7")
    twin = dataclasses.replace(made[0], column="twin", value="yes", values=bad.astype(np.float32))
    assert len(find_slices([*made, twin], errors(rng, 0.1 + 0.4 * bad))) == 1


def test_rows_that_are_always_wrong_are_found_though_they_do_not_vary() -> None:
    made = features_of({"source": Column.of(["a", "b", "c", "d"] * 500)}, {}, 50)
    loss = np.tile([0.0, 0.0, 1.0, 0.0], 500)
    found = find_slices(made, loss)
    assert [str(item) for item in found] == ["source is c"]
    n, rest = found[0].n_confirmed + 2, 1000 - found[0].n_confirmed + 2  # one wrong and one right row more on each side
    middle = (found[0].ci_low + found[0].ci_high) / 2
    assert middle == pytest.approx((n - 1) / n - 1 / rest) and 0 < found[0].p_value < 1e-9


@pytest.mark.parametrize("num_rows", [0, 1, 199])
def test_too_few_rows_or_nothing_to_see_gives_none(num_rows: int) -> None:
    made = features_of({"source": Column.of(["a", "b"] * (num_rows // 2 + 1))}, {}, 1)
    assert find_slices(made, np.arange(num_rows) % 2.0) == []
    assert find_slices([], np.arange(400) % 2.0) == []
    assert find_slices(features_of({"source": Column.of(["a", "b"] * 500)}, {}, 50), np.zeros(1000)) == []
