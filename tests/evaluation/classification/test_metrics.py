from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score

from ftcore.errors import DataRefused
from ftcore.evaluation.classification.metrics import (
    class_counts,
    confusion_matrix,
    influence,
    macro,
    per_class,
    per_slice,
    score,
)
from ftcore.evaluation.rows import Column, Holdout, holdout_of
from ftcore.evaluation.statistics.intervals import design_effect, wilson

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
        assert macro(name, counts) == pytest.approx(wanted)


@pytest.mark.parametrize("name", ["accuracy", "macro_precision", "macro_recall", "macro_f1"])
def test_influence_is_the_derivative_of_the_metric(name: str) -> None:
    rng = np.random.default_rng(3)
    target, predicted = rng.integers(0, 4, 400), rng.integers(0, 4, 400)
    counts = class_counts(target, predicted, 4)
    effects = influence(name, target, predicted, counts)
    assert effects.sum() == pytest.approx(0, abs=1e-8)
    for row in range(20):
        more = class_counts(np.append(target, target[row]), np.append(predicted, predicted[row]), 4)
        value = [c[2].sum() / c[0].sum() if name == "accuracy" else macro(name, c) for c in (counts, more)]
        assert value[1] - value[0] == pytest.approx(effects[row] / 401, abs=2e-5)


def test_wilson_as_published() -> None:
    low, high = wilson(81, 263)  # Newcombe (1998), Statistics in Medicine 17:857-872, table I
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert wilson(0, 20)[0] == 0.0
    assert wilson(20, 20)[1] == 1.0


def test_accuracy_interval_widens_when_rows_come_in_groups() -> None:
    right = [group % 2 for group in range(40) for _ in range(5)]
    alone, grouped = (
        score(make_holdout([1] * 200, right, groups), "candidate")[0]
        for groups in (None, [group for group in range(40) for _ in range(5)])
    )
    assert alone.value == grouped.value
    ratio = (grouped.ci_high - grouped.ci_low) / (alone.ci_high - alone.ci_low)
    assert ratio == pytest.approx(5**0.5, rel=0.1)


def test_design_effect_is_one_for_rows_that_stand_alone() -> None:
    assert design_effect(np.array([0.5, -0.5]), None) == 1.0


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


def test_tables_carry_n() -> None:
    column = Column.of(["web", "mail", None, "web"])
    holdout = holdout_of(
        Column.of(["a", "b", "b", "b"]), {"candidate": Column.of(["a", "a", "b", "z"])}, slices={"source": column}
    )
    assert confusion_matrix(holdout, "candidate") == [[1, 0, 0], [1, 1, 1], [0, 0, 0]]
    lines = {line["label"]: line for line in per_class(holdout, "candidate")}
    assert lines["b"]["n"] == 3 and lines["b"]["recall"] == pytest.approx(1 / 3)
    assert lines["z"]["n"] == 0 and lines["z"]["recall"] is None
    assert [(line["value"], line["n"], line["accuracy"]) for line in per_slice(holdout, "candidate")] == [
        ("web", 2, 0.5),
        ("mail", 1, 0.0),
    ]
