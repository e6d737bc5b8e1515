from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.evaluation.analysis.against import MUST_SEE, against_champion, must_see
from tests.evaluation.analysis.made import holdout

PAIRS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=30
)


@given(PAIRS)
def test_fixed_and_broken_are_the_difference_of_the_errors(answers: list[tuple[str, str, str]]) -> None:
    targets, candidate, champion = (list(column) for column in zip(*answers, strict=True))
    rows = holdout(targets, {"candidate": candidate, "champion": champion})
    found = against_champion(rows)
    assert found is not None
    difference = rows.losses("champion").sum() - rows.losses("candidate").sum()
    assert found["num_fixed"] - found["num_broken"] == difference
    assert found["negative_flip_rate"] == pytest.approx(found["num_broken"] / len(answers))
    assert found["ci_low"] <= found["negative_flip_rate"] <= found["ci_high"]
    assert sum(item["broken"] for item in found["labels"]) == found["num_broken"]
    assert all(row["champion"] == row["target"] != row["candidate"] for row in found["broken"])


def test_a_model_against_itself_breaks_nothing_and_without_a_champion_there_is_no_section() -> None:
    same = against_champion(holdout(["a", "b"], {"candidate": ["a", "a"], "champion": ["a", "a"]}))
    assert same is not None and (same["num_fixed"], same["num_broken"]) == (0, 0)
    assert against_champion(holdout(["a"], {"candidate": ["b"]})) is None


def test_generated_text_is_broken_where_its_score_falls_clearly() -> None:
    scores = {"candidate": [0.2, 0.80, 0.9], "champion": [0.9, 0.85, 0.1]}
    found = against_champion(holdout(["x"] * 3, {"candidate": ["y"] * 3, "champion": ["z"] * 3}, scores=scores))
    assert found is not None and (found["num_broken"], found["num_fixed"]) == (1, 1)
    assert found["broken"][0]["id"] == "r0" and found["labels"] == []


def test_broken_costly_and_sure_mistakes_are_seen_first() -> None:
    targets = ["a", "a", "b", "c", "a"]
    said = {"candidate": ["b", "b", "a", "a", "a"], "champion": ["b", "a", "b", "a", "a"]}
    rows = holdout(targets, said, confidences=[0.9, 0.9, 0.2, 0.3, 0.9])
    assert [row["id"] for row in must_see(rows, {})] == ["r1", "r0", "r2", "r3"]
    costly = must_see(rows, {"c": {"a": 10}})
    assert costly[0]["id"] == "r3" and costly[0]["why"] == "this mistake costs 10"
    assert "r1" not in [row["id"] for row in must_see(rows, {}, doubted={"r1"})]
    assert [row["id"] for row in must_see(rows, {"a": {"b": 0}})] == ["r2", "r3"]


def test_at_most_two_of_a_kind_and_ten_in_all() -> None:
    rows = holdout(["a"] * 30, {"candidate": ["b"] * 30})
    assert len(must_see(rows, {})) == 2
    many = holdout([f"t{at}" for at in range(30)], {"candidate": ["b"] * 30})
    assert len(must_see(many, {})) == MUST_SEE
    assert must_see(holdout(["a"], {"candidate": ["a"]}), {}) == []
