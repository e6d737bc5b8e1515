from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.evaluation.analysis.confusions import confusions, cost_of
from tests.evaluation.analysis.made import holdout

TARGETS = ["a"] * 6 + ["b"] * 4
CANDIDATE = ["a", "a", "b", "b", "b", "c", "b", "a", "b", "b"]


def test_pairs_are_ranked_by_rows_times_cost() -> None:
    rows = holdout(TARGETS, {"candidate": CANDIDATE, "champion": TARGETS})
    plain = confusions(rows, {})
    assert [(pair["target"], pair["predicted"], pair["n"]) for pair in plain["pairs"]] == [
        ("a", "b", 3),
        ("a", "c", 1),
        ("b", "a", 1),
    ]
    assert plain["total_cost"] == 5 and plain["pairs"][0]["champion_n"] == 0
    costly = confusions(rows, {"b": {"a": 10}, "a": {"zzz": 1}})
    assert [pair["predicted"] for pair in costly["pairs"]] == ["a", "b", "c"]
    assert costly["pairs"][0]["cost_share"] == pytest.approx(10 / 14)
    assert costly["unknown_labels"] == ["zzz"] and costly["has_costs"]
    assert [item["label"] for item in costly["classes"]] == ["b", "a"]


def test_a_mistake_that_costs_nothing_comes_last() -> None:
    found = confusions(holdout(TARGETS, {"candidate": CANDIDATE}), {"a": {"b": 0}})
    assert found["pairs"][-1]["total_cost"] == 0 and found["pairs"][-1]["champion_n"] is None


def test_the_surest_mistakes_are_the_examples() -> None:
    sure = [0.1 * at for at in range(10)]
    pair = confusions(holdout(TARGETS, {"candidate": CANDIDATE}, confidences=sure), {})["pairs"][0]
    assert [example["id"] for example in pair["examples"]] == ["r4", "r3", "r2"]


def test_no_errors_and_one_class() -> None:
    found = confusions(holdout(["a"] * 3, {"candidate": ["a"] * 3}), {})
    assert found["pairs"] == [] and found["total_cost"] == 0 and found["classes"][0]["num_wrong"] == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1, max_size=40))
def test_pairs_and_classes_account_for_every_error(answers: list[tuple[str, str]]) -> None:
    rows = holdout([target for target, _ in answers], {"candidate": [said for _, said in answers]})
    costs = {"a": {"b": 3.0, "c": 0.5}}
    found = confusions(rows, costs)
    wrong = sum(target != said for target, said in answers)
    assert sum(pair["n"] for pair in found["pairs"]) == wrong == sum(item["num_wrong"] for item in found["classes"])
    total = sum(cost_of(costs, *pair) for pair in answers)
    assert found["total_cost"] == pytest.approx(total) == pytest.approx(sum(item["cost"] for item in found["classes"]))
