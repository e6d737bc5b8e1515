from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.evaluation.probes.consistency import contradict, drawn_rows, self_consistency, similarity


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["it takes 14 days", "it takes 30 days"], True),
        (["14 days, 5 euros", "30 days, 5 euros", "soon"], True),
        (["it takes 14 days", "14 days and 5 euros"], False),
        (["it takes 1,000 days", "1000 days"], False),
        (["on 3 May 2026", "on May 3rd"], False),
        (["on 3 May 2026", "on 3 May 2027"], True),
        (["soon", "later"], False),
    ],
)
def test_only_numbers_that_exclude_each_other_contradict(texts: list[str], found: bool) -> None:
    assert contradict(texts) is found and contradict(texts[::-1]) is found


@given(st.lists(st.text(alphabet="ab 1,", max_size=12), min_size=2, max_size=4))
def test_similarity_is_a_fraction_and_one_of_equal_texts(texts: list[str]) -> None:
    assert 0 <= similarity(texts) <= 1 and similarity(texts) == pytest.approx(similarity(texts[::-1]))
    assert similarity([texts[0]] * 3) == 1 and not contradict([texts[0]] * 3)


def test_the_rows_are_the_same_each_time_and_all_of_few() -> None:
    assert drawn_rows(100, 10) == drawn_rows(100, 10) == sorted(set(drawn_rows(100, 10)))
    assert drawn_rows(3, 10) == [0, 1, 2]


def test_draws_are_compared_row_by_row() -> None:
    samples = {"candidate": [["a b", "9 days"], ["a b", "7 days"]], "champion": [["a b", "x"], ["c d", "x"]]}
    alike, at_odds = (item.to_dict((("candidate", "champion"),)) for item in self_consistency(samples, None))
    assert alike is not None and at_odds is not None and alike["n"] == at_odds["n"] == 2
    assert [item["value"] for item in at_odds["models"].values()] == [0.5, 0.0]
    assert [item["value"] for item in alike["models"].values()] == [0.75, 0.5]
