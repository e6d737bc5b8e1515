from __future__ import annotations

import numpy as np
import pytest

from ftcore.evaluation.classification.tables import confusion_matrix, per_class, per_slice
from ftcore.evaluation.rows import Column, holdout_of
from ftcore.evaluation.statistics.intervals import wilson


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


def test_classes_have_intervals_and_groups_widen_them() -> None:
    targets, said = ["a"] * 40 + ["b"] * 60, ["a"] * 30 + ["b"] * 70
    alone = holdout_of(Column.of(targets), {"candidate": Column.of(said)})
    line = per_class(alone, "candidate")[0]
    assert (line["recall"], line["precision"], line["f1"]) == pytest.approx((0.75, 1.0, 2 * 30 / 70))
    assert (line["recall_ci_low"], line["recall_ci_high"]) == pytest.approx(wilson(30, 40))
    assert (line["precision_ci_low"], line["precision_ci_high"]) == pytest.approx(wilson(30, 30))
    assert line["f1_ci_low"] < line["f1"] < line["f1_ci_high"]
    grouped = holdout_of(
        Column.of(targets), {"candidate": Column.of(said)}, groups=Column.of([str(row // 10) for row in range(100)])
    )
    (wide, _), (narrow, _) = per_class(grouped, "candidate"), per_class(alone, "candidate")
    assert wide["recall_ci_low"] < narrow["recall_ci_low"] and wide["f1_ci_low"] < narrow["f1_ci_low"]


def test_a_class_that_is_never_predicted_has_no_precision() -> None:
    lines = per_class(holdout_of(Column.of(["a", "b"]), {"candidate": Column.of(["a", "a"])}), "candidate")
    assert (lines[1]["precision"], lines[1]["precision_ci_low"], lines[1]["f1"]) == (None, None, 0.0)


def test_intervals_of_a_class_hold_the_truth() -> None:
    """F1 of a class, whose interval is that of a share on another scale: 1,000 samples of 200 rows."""
    rng, held, num_rows = np.random.default_rng(3), 0, 200
    for _ in range(1000):
        target = (rng.random(num_rows) < 0.2).astype(int)
        said = np.where(rng.random(num_rows) < np.where(target, 0.3, 0.05), 1 - target, target)
        names = [Column.of([f"c{code}" for code in codes]) for codes in (target, said)]
        lines = per_class(holdout_of(names[0], {"candidate": names[1]}), "candidate")
        line = next(line for line in lines if line["label"] == "c1")
        held += line["f1_ci_low"] <= 2 * 0.14 / (0.2 + 0.18) <= line["f1_ci_high"]
    assert 0.93 <= held / 1000 <= 0.975
