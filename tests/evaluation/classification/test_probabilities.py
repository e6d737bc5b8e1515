"""ROC-AUC, Brier score and calibration error: the numbers of scikit-learn, honest intervals, none where none is defined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, roc_auc_score

from ftcore.errors import DataRefused
from ftcore.evaluation.classification.probabilities import NUM_BINS, brier, ece, ece_interval, measure, roc_auc
from ftcore.evaluation.rows import Column, Floats, Ints, Probabilities, probabilities_of
from ftcore.evaluation.statistics.intervals import standard_error


@st.composite
def answered(draw: st.DrawFn) -> Probabilities:
    """2 to 5 classes, all of them among the targets; coarse probabilities, so that many are equal."""
    num_classes = draw(st.integers(2, 5))
    target = draw(st.lists(st.integers(0, num_classes - 1), min_size=1, max_size=40)) + list(range(num_classes))
    weights = st.lists(st.integers(0, 4), min_size=num_classes, max_size=num_classes)
    rows = np.array([draw(weights) for _ in target], dtype=float) + 1e-3
    return Probabilities(rows / rows.sum(axis=1, keepdims=True), np.array(target))


@given(answered())
@settings(max_examples=80)
def test_the_same_numbers_as_sklearn(found: Probabilities) -> None:
    num_classes = found.values.shape[1]
    if num_classes == 2:
        wanted = roc_auc_score(found.target, found.values[:, 1])
    else:
        wanted = roc_auc_score(found.target, found.values, multi_class="ovr", average="macro")
    area = roc_auc(found)
    assert not isinstance(area, str) and area.value == pytest.approx(wanted, abs=1e-6)
    assert area.influence.sum() == pytest.approx(0, abs=1e-6)
    labels = list(range(num_classes))
    half = brier_score_loss(found.target, found.values, labels=labels, scale_by_half=True)
    assert brier(found).value == pytest.approx(half, abs=1e-6)


@given(answered())
@settings(max_examples=40)
def test_calibration_error_is_the_mean_gap_of_bins_of_equal_mass(found: Probabilities) -> None:
    confidence = found.values.max(axis=1)
    right = found.values.argmax(axis=1) == found.target
    order = np.argsort(confidence, kind="stable")
    total = 0.0
    for rows in np.array_split(order, NUM_BINS):
        if len(rows):
            total += len(rows) / len(order) * abs(confidence[rows].mean() - right[rows].mean())
    if len(order) % NUM_BINS == 0 or len(order) <= NUM_BINS:  # else array_split puts the longer bins first
        assert ece(found).value == pytest.approx(total, abs=1e-9)
    assert 0 <= ece(found).value <= 1


def test_a_class_that_the_model_does_not_know_has_probability_0() -> None:
    found = probabilities_of(np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]), ("a", "b"), Column.of(["a", "b", "new"]))
    assert found.values.shape == (3, 3) and found.values[:, 2].sum() == 0
    area = roc_auc(found)
    assert not isinstance(area, str) and area.value == pytest.approx((1 + 1 + 0.5) / 3)
    assert brier(found).value == pytest.approx((0.02 + 0.08 + 0.16 + 0.36 + 1) / 6)


def test_a_class_without_rows_makes_no_curve() -> None:
    values = np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.2, 0.7, 0.1]])
    three = roc_auc(Probabilities(values, np.array([0, 1, 1])))
    assert not isinstance(three, str) and three.value == 1.0
    assert roc_auc(Probabilities(values, np.array([1, 1, 1]))) == "all targets are of one class"


@pytest.mark.parametrize(
    ("values", "classes", "message"),
    [
        ([[0.5, 0.5]], ("a", "b"), "shape"),
        ([[0.5, 0.5], [0.5, 0.5]], ("a", "a"), "different classes"),
        ([[0.5, 0.4], [0.5, 0.5]], ("a", "b"), "1 rows hold no probabilities"),
        ([[1.5, -0.5], [float("nan"), 1.0]], ("a", "b"), "2 rows hold no probabilities"),
    ],
)
def test_what_is_no_probability_is_refused(values: list[list[float]], classes: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataRefused, match=message):
        probabilities_of(np.array(values), classes, Column.of(["a", "b"]))


def simulated(num_rows: int, sharpness: float, seed: int = 5) -> Probabilities:
    """Two classes; confidence is right at sharpness 1."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(0, 1.5, num_rows)
    target = (rng.random(num_rows) < 1 / (1 + np.exp(-logit))).astype(np.int64)
    said = 1 / (1 + np.exp(-sharpness * logit))
    return Probabilities(np.stack([1 - said, said], axis=1), target)


@pytest.mark.parametrize("name", ["roc_auc", "brier"])
def test_the_influence_is_that_of_the_jackknife(name: str) -> None:
    found = simulated(150, 1.5)
    whole = measure(name, found)
    without = []
    for row in range(150):
        kept = np.arange(150) != row
        part = measure(name, Probabilities(found.values[kept], found.target[kept]))
        assert not isinstance(part, str)
        without.append(part.value)
    assert not isinstance(whole, str)
    spread = np.sqrt(149 / 150 * ((np.array(without) - np.mean(without)) ** 2).sum())
    assert standard_error(whole.influence, 150) == pytest.approx(spread, rel=0.02)


def intervals(found: Probabilities, groups: Ints | None = None) -> dict[str, tuple[float, float, float]]:
    measured = {name: measure(name, found) for name in ("roc_auc", "brier", "ece")}
    return {
        name: (item.value, *item.interval(groups, 100.0))
        for name, item in measured.items()
        if not isinstance(item, str)
    }


def test_intervals_hold_the_value_and_widen_with_groups() -> None:
    once = simulated(120, 2.0)
    twice = Probabilities(np.repeat(once.values, 5, axis=0), np.repeat(once.target, 5))
    alone, together = intervals(twice), intervals(twice, np.repeat(np.arange(120), 5))
    for name, (value, low, high) in alone.items():
        assert 0 <= low <= value <= high <= 1, name
        assert together[name][2] - together[name][1] > 1.5 * (high - low), name


def test_the_calibration_interval_takes_noise_out() -> None:
    value, low, high = intervals(simulated(600, 1.0))["ece"]
    assert value > 0.01 and low == 0.0 and high < 0.06  # calibrated: the error seen is noise
    value, low, high = intervals(simulated(600, 4.0))["ece"]
    assert low > 0.05  # overconfident: it is not


def test_the_calibration_interval_covers_the_truth() -> None:
    """200 samples of 400 rows: the 95 % interval holds the error of 20,000 rows about 95 % of the time."""
    rng, everyone = np.random.default_rng(3), simulated(20_000, 2.0)
    truth, covered = ece(everyone).value, 0
    for _ in range(200):
        rows = rng.integers(0, 20_000, 400)
        low, high = intervals(Probabilities(everyone.values[rows], everyone.target[rows]))["ece"][1:]
        covered += low <= truth <= high
    assert covered >= 180  # P(fewer | 95 %) < 0.2 %


def test_one_row_and_sure_rows_have_an_interval() -> None:
    sure: Floats = np.array([[0.0, 1.0]])
    assert ece_interval(0.2, np.zeros(4, np.int64), np.full(4, 0.2), np.zeros(4, np.int64)) == (0.0, 1.0)
    for num_rows in (1, 2, 40):
        found = Probabilities(np.repeat(sure, num_rows, axis=0), np.ones(num_rows, np.int64))
        for value, low, high in intervals(found).values():
            assert 0 <= low <= value <= high <= 1
