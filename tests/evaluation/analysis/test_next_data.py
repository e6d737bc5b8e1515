from __future__ import annotations

import numpy as np
import pytest

from ftcore.evaluation.analysis.conditions import Condition
from ftcore.evaluation.analysis.next_data import next_data
from ftcore.evaluation.analysis.probe import Probe
from ftcore.evaluation.analysis.slices import Slice
from tests.evaluation.analysis.made import holdout

TARGETS = ["a"] * 50 + ["b"] * 50
SAID = ["b"] * 20 + ["a"] * 30 + ["a"] * 20 + ["b"] * 30
ROWS = holdout(TARGETS, {"candidate": SAID})
TRAIN = [{"text": "t", "label": "a"}] * 100 + [{"text": "t", "label": "b"}] * 300


def probe(falls_a: int, falls_b: int) -> Probe:
    """Errors of each class from 40 rows at 40 % down by so many."""
    right = np.zeros((2, 100))
    right[0, :10], right[0, 50:60] = 1, 1
    right[1, : 10 + falls_a], right[1, 50 : 60 + falls_b] = 1, 1
    return Probe((160, 400), right, ("a", "b"), np.zeros((100, 2)), False)


def test_of_equal_errors_the_learnable_ones_come_first() -> None:
    found = next_data(ROWS, TRAIN, probe(0, 35), [], {})
    assert [item["name"] for item in found] == ["b", "a"]
    assert (
        found[0]["num_rows"] == 300
        and found[0]["mass"] == 20
        and 0 < found[1]["learnability"] < found[0]["learnability"] < 1
    )
    assert "20 of 50 holdout rows wrong, 50 % of all errors; 300 training rows" in found[0]["reason"]
    assert "from 40 to 5" in found[0]["reason"]
    assert [item["name"] for item in next_data(ROWS, TRAIN, probe(35, 0), [], {})] == ["a", "b"]


def test_costs_weigh_and_doubted_labels_are_named() -> None:
    found = next_data(ROWS, TRAIN, None, [], {"a": {"b": 5}}, doubted={f"r{at}" for at in range(10)})
    assert found[0]["name"] == "a" and found[0]["mass"] == 100 and "of all costs" in found[0]["reason"]
    assert found[0]["labels_first"] and not found[1]["labels_first"] and "review those first" in found[0]["reason"]


def test_slices_count_with_what_they_have_above_the_rest() -> None:
    item = Slice((Condition("source", "is", "web"),), 40, 20, 0.9, 0.2, 0.5, 0.9, 0.001, 0.01)
    found = next_data(ROWS, TRAIN, None, [(item, 36)], {})
    shown = next(line for line in found if line["kind"] == "slice")
    costly = next_data(ROWS, TRAIN, None, [(item, 36)], {"a": {"b": 5}})
    assert next(line["mass"] for line in costly if line["kind"] == "slice") == pytest.approx(28 * 3)
    assert {line["unit"] for line in costly} == {"costs"} and {line["unit"] for line in found} == {"errors"}
    assert shown["mass"] == pytest.approx(28) and shown["num_rows"] == 160 and shown["name"] == "source is web"


def test_of_generated_text_slices_are_ranked_by_loss() -> None:
    item = Slice((Condition("source", "is", "web"),), 40, 20, 0.9, 0.2, 0.5, 0.9, 0.001, 0.01)
    texts = [f"answer {number}" for number in range(200)]
    rows = holdout(texts, {"candidate": texts}, scores={"candidate": [0.5] * 200})
    (found,) = next_data(rows, [{"text": "x", "completion": "y"}] * 800, None, [(item, 36)], {})
    assert found["mass"] == pytest.approx(28) and found["unit"] == "loss" and found["num_rows"] == 160
    assert found["reason"].startswith(
        "36 of 40 holdout rows among the lowest fifth; mean loss 90 % against 20 % elsewhere"
    )


def test_no_errors_no_rows_to_collect() -> None:
    assert next_data(holdout(TARGETS, {"candidate": TARGETS}), TRAIN, None, [], {}) == []
    assert next_data(holdout(["x"], {"candidate": ["y"]}, scores={"candidate": [0.1]}), [], None, [], {}) == []
    assert next_data(ROWS, [], None, [], {})[0]["num_rows"] == 20
