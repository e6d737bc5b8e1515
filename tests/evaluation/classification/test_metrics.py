from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, matthews_corrcoef, precision_score, recall_score

from ftcore.errors import DataRefused
from ftcore.evaluation.classification.metrics import (
    METRICS,
    class_counts,
    from_counts,
    influence,
    left_out,
    macro,
    mcc,
    rows_of_mean,
    score,
    value_of,
)
from ftcore.evaluation.rows import Column, Holdout, Probabilities, holdout_of
from ftcore.evaluation.statistics.intervals import wilson

CODES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), min_size=1, max_size=60)


def make_holdout(target: list[int], predicted: list[int], groups: list[int] | None = None) -> Holdout:
    return holdout_of(
        Column.of([f"c{code}" for code in target]),
        {"candidate": Column.of([f"c{code}" for code in predicted])},
        None if groups is None else Column.of([str(group) for group in groups]),
    )


@given(CODES)
@settings(max_examples=60)
def test_macro_metrics_equal_sklearn_over_the_target_classes(pairs: list[tuple[int, int]]) -> None:
    target, predicted = np.array(pairs).T
    counts = class_counts(target, predicted, 6)
    classes = sorted(set(target.tolist()))
    references = {"macro_precision": precision_score, "macro_recall": recall_score, "macro_f1": f1_score}
    for name, reference in references.items():
        wanted = reference(target, predicted, labels=classes, average="macro", zero_division=0)
        assert macro(name, counts) == pytest.approx(wanted, abs=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes that no target has, or only one
        assert macro("macro_recall", counts) == pytest.approx(balanced_accuracy_score(target, predicted), abs=1e-6)
        assert from_counts("mcc", counts) == pytest.approx(matthews_corrcoef(target, predicted), abs=1e-6)
    micro = f1_score(target, predicted, average="micro")
    assert from_counts("accuracy", counts) == pytest.approx(micro, abs=1e-6)


@pytest.mark.parametrize("name", METRICS)
def test_influence_is_the_derivative_of_the_metric(name: str) -> None:
    rng = np.random.default_rng(3)
    target, predicted = rng.integers(0, 4, 400), rng.integers(0, 4, 400)
    counts = class_counts(target, predicted, 4)
    effects = influence(name, target, predicted, counts)
    assert effects.sum() == pytest.approx(0, abs=1e-8)
    for row in range(20):
        more = class_counts(np.append(target, target[row]), np.append(predicted, predicted[row]), 4)
        value = [from_counts(name, c) for c in (counts, more)]
        assert value[1] - value[0] == pytest.approx(effects[row] / 401, abs=2e-5)


def test_accuracy_interval_widens_when_rows_come_in_groups() -> None:
    right = [group % 2 for group in range(40) for _ in range(5)]
    alone, grouped = (
        score(make_holdout([1] * 200, right, groups), "candidate")[0]
        for groups in (None, [group for group in range(40) for _ in range(5)])
    )
    assert alone.value == grouped.value
    ratio = (grouped.ci_high - grouped.ci_low) / (alone.ci_high - alone.ci_low)
    assert ratio == pytest.approx(5**0.5, rel=0.1)


def test_macro_interval_covers_the_truth() -> None:
    """50 samples of 300 rows, 3 classes, 80 % right: the 95 % interval holds the true macro F1 about 95 % of the time."""
    rng = np.random.default_rng(11)
    covered = 0
    for _ in range(50):
        target = rng.integers(0, 3, 300)
        predicted = np.where(rng.random(300) < 0.8, target, (target + 1) % 3)
        metric = {m.name: m for m in score(make_holdout(target.tolist(), predicted.tolist()), "candidate")}["macro_f1"]
        covered += metric.ci_low <= 0.8 <= metric.ci_high
    assert covered >= 43  # P(fewer | 95 %) < 0.5 %


def test_an_empty_holdout_is_an_error_never_a_number() -> None:
    with pytest.raises(DataRefused, match="no rows"):
        make_holdout([], [])
    empty = Holdout((), np.zeros(0, np.int64), {"candidate": np.zeros(0, np.int64)})
    with pytest.raises(DataRefused, match="empty"):
        score(empty, "candidate")


def test_a_model_of_one_answer_has_no_correlation() -> None:
    counts = class_counts(np.array([0, 1, 1]), np.array([1, 1, 1]), 2)
    assert mcc(counts) == 0
    found = {metric.name: metric for metric in score(make_holdout([0, 1, 1], [1, 1, 1]), "candidate")}
    assert (found["mcc"].value, found["mcc"].ci_low, found["mcc"].ci_high) == (0, 0, 0)


def test_a_faultless_model_is_not_certain() -> None:
    target = [i % 3 for i in range(60)]
    for metric in score(make_holdout(target, target), "candidate"):
        assert metric.value == metric.ci_high == 1 and 0.8 < metric.ci_low < 0.97, metric.name
    assert rows_of_mean(np.array([100.0, 1.0, 0.0]), None) == pytest.approx(4 / 1.01)  # the small class decides
    assert rows_of_mean(np.array([50.0, 50.0]), np.repeat(np.arange(20), 5)) == 20


@given(CODES, st.booleans())
@settings(max_examples=60)
def test_intervals_are_numbers_that_stay_in_range(pairs: list[tuple[int, int]], grouped: bool) -> None:
    target, predicted = ([pair[part] for pair in pairs] for part in (0, 1))
    groups = [row // 3 for row in range(len(pairs))] if grouped else None
    for metric in score(make_holdout(target, predicted, groups), "candidate"):
        lowest = -1 if metric.name == "mcc" else 0
        assert lowest <= metric.ci_low <= metric.ci_high <= 1, metric.name


def test_metrics_of_probabilities_come_with_them_and_else_say_why_not() -> None:
    holdout = make_holdout([0, 1, 0, 1], [0, 1, 1, 1])
    assert left_out(holdout, "candidate") == dict.fromkeys(
        ("roc_auc", "brier", "ece"), "the model gives no probabilities"
    )
    values = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7]])
    known = dataclasses.replace(holdout, probabilities={"candidate": Probabilities(values, holdout.target)})
    assert [metric.name for metric in score(known, "candidate")] == [*METRICS, "roc_auc", "brier", "ece"]
    one = make_holdout([1, 1], [1, 1])
    one = dataclasses.replace(one, probabilities={"candidate": Probabilities(values[:2], np.array([1, 1]))})
    assert left_out(one, "candidate") == {"roc_auc": "all targets are of one class"}
    assert [metric.name for metric in score(one, "candidate")] == [*METRICS, "brier", "ece"]
    assert np.isnan(value_of(one, "candidate", "roc_auc")) and np.isnan(value_of(holdout, "candidate", "brier"))


def test_a_rare_class_predicted_without_an_error_is_not_certain() -> None:
    """Four of 200 rows decide most of the macro precision; all four were right, which tells little."""
    target = [0] * 96 + [1] * 100 + [2] * 4
    predicted = [0] * 92 + [1] * 4 + [1] * 96 + [0] * 4 + [2] * 4
    found = {metric.name: metric for metric in score(make_holdout(target, predicted), "candidate")}
    rare = wilson(4, 4)[0]
    assert found["macro_precision"].ci_low < found["macro_precision"].value - (1 - rare) / 3 * 0.9
    assert found["macro_recall"].ci_low < found["macro_recall"].value - (1 - rare) / 3 * 0.9


def test_groups_widen_macro_precision_and_recall_as_their_rows_go_together() -> None:
    rng = np.random.default_rng(3)
    right = np.repeat(rng.random(100) < 0.8, 4)
    target = np.repeat(rng.integers(0, 2, 100), 4)
    predicted = np.where(right, target, 1 - target)
    alone = score(make_holdout(target.tolist(), predicted.tolist()), "candidate")
    grouped = score(make_holdout(target.tolist(), predicted.tolist(), [row // 4 for row in range(400)]), "candidate")
    for one, other in zip(alone[1:3], grouped[1:3], strict=True):
        assert (other.ci_high - other.ci_low) / (one.ci_high - one.ci_low) == pytest.approx(2, abs=0.3), one.name


def test_many_classes_and_groups_take_the_delta_method(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    target = rng.integers(0, 4, 800)
    predicted = np.where(rng.random(800) < 0.7, target, rng.integers(0, 4, 800))
    holdout = make_holdout(target.tolist(), predicted.tolist(), [row // 4 for row in range(800)])
    exact = score(holdout, "candidate")
    monkeypatch.setattr("ftcore.evaluation.classification.metrics._MAX_PARTS", 10)
    for one, other in zip(exact, score(holdout, "candidate"), strict=True):
        assert (other.ci_low, other.ci_high) == pytest.approx((one.ci_low, one.ci_high), abs=2e-3)
