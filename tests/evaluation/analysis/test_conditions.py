from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ftcore.evaluation.analysis.conditions import Condition, features_of, halves, rows_meeting
from ftcore.evaluation.rows import Column


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60))
def test_both_sides_of_a_step_are_all_rows_and_the_conditions_say_so(values: list[float]) -> None:
    for feature in features_of({}, {"words": values}, 1):
        for step in range(len(feature.ends) - 1):
            sides = []
            for above in (False, True):
                condition = feature.condition(step + 0.5, above)
                mask = feature.mask(condition)
                assert mask is not None
                bound = float(condition.value)
                assert mask.tolist() == [value >= bound if above else value <= bound for value in values]
                sides.append(mask)
            assert (sides[0] ^ sides[1]).all() and sides[0].any() and sides[1].any()


def test_values_of_a_column_and_their_absence() -> None:
    column = Column.of(["web", "app", None, "web"])
    features = features_of({"source": column}, {}, 1)
    assert {feature.value for feature in features} == {"web", "app"}
    assert rows_meeting([Condition("source", "is", "web")], features, 4).tolist() == [True, False, False, True]
    assert rows_meeting([Condition("source", "is not", "app")], features, 4).tolist() == [True, False, True, True]
    assert (
        str(Condition("source", "is", "web")) == "source is web"
        and str(Condition("words", "at least", 12.0)) == "words at least 12"
    )


def test_what_can_make_no_slice_is_no_feature() -> None:
    rare = Column.of(["a"] * 97 + ["b"] * 3)
    assert features_of({"rare": rare, "same": Column.of(["x"] * 100)}, {"equal": [1.0] * 100}, 10) == []
    assert features_of({}, {"broken": [1.0, float("nan")]}, 1) == []


@given(st.integers(2, 40), st.integers(0, 5))
def test_rows_of_a_group_lie_in_one_half(num_groups: int, seed: int) -> None:
    groups = np.repeat(np.arange(num_groups), 3)
    first = halves(groups, len(groups), seed)
    assert all(len(set(first[groups == group].tolist())) == 1 for group in range(num_groups))
    assert abs(first.sum() - (~first).sum()) <= 3
