from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.evaluation.gate.looks import (
    SKETCH_ROWS,
    alpha_at,
    fresh_share_needed,
    look_at,
    shared_share,
    sketch_of,
)


def digests(start: int, stop: int) -> list[str]:
    return [hashlib.sha256(str(number).encode()).hexdigest() for number in range(start, stop)]


def test_the_order_of_rows_does_not_matter() -> None:
    assert sketch_of(digests(0, 900)) == sketch_of(reversed(digests(0, 900)))
    assert len(sketch_of(digests(0, 900))) == SKETCH_ROWS


@pytest.mark.parametrize("size", [40, 300, 5000])
@pytest.mark.parametrize("fresh", [0.0, 0.1, 0.5, 1.0])
def test_the_share_of_rows_seen_before_is_estimated(size: int, fresh: float) -> None:
    moved = int(fresh * size)
    seen = shared_share(sketch_of(digests(moved, size + moved)), sketch_of(digests(0, size)))
    assert seen == pytest.approx(1 - moved / size, abs=0.1)


def test_rows_that_were_added_are_fresh_and_rows_that_left_are_not_missed() -> None:
    small, large = sketch_of(digests(0, 1000)), sketch_of(digests(0, 2000))
    assert shared_share(large, small) == pytest.approx(0.5, abs=0.1)
    assert shared_share(small, large) == pytest.approx(1.0)


def test_a_holdout_without_rows_is_none_that_is_fresh() -> None:
    assert shared_share([], sketch_of(digests(0, 10))) == 1


@given(st.integers(1, 200), st.floats(0.001, 0.49))
def test_each_look_spends_no_more_than_the_one_before(look: int, alpha: float) -> None:
    assert alpha_at(1, alpha) == alpha
    assert 0 < alpha_at(look + 1, alpha) < alpha_at(look, alpha) <= alpha


def test_looks_are_counted_by_share() -> None:
    assert [look_at(shares) for shares in ([], [1.0], [1.0, 1.0], [0.5] * 6, [0.1])] == [1, 2, 3, 4, 1]


@given(st.integers(1, 400), st.integers(1, 60))
def test_enough_fresh_rows_put_the_next_look_within_the_budget(look: int, most: int) -> None:
    fresh = fresh_share_needed(look, most)
    assert 0 <= fresh <= 1 and (fresh > 0) == (look > most)
    assert look_at([1 - fresh] * (look - 1)) <= most
