"""Shared n-grams of many texts at once are those of one counter per text, in any blocks and any alphabet."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftcore.evaluation.generation import ngrams
from ftcore.evaluation.generation.ngrams import letters, shared_ngrams

CODES = st.lists(st.sampled_from([0, 1, 2, 70, 100_000]), max_size=12)


def counted(wanted: list[int], seen: list[int], n: int) -> list[int]:
    ours, theirs = (
        Counter(tuple(codes[start : start + n]) for start in range(len(codes) - n + 1)) for codes in (seen, wanted)
    )
    return [ours.total(), theirs.total(), (ours & theirs).total()]


@pytest.mark.parametrize(("block", "most"), [(1 << 17, 1 << 62), (1, 1 << 62), (20, 1 << 62), (1 << 17, 1)])
@settings(max_examples=60, deadline=None)
@given(pairs=st.lists(st.tuples(CODES, CODES), max_size=7))
def test_as_one_counter_per_text(block: int, most: int, pairs: list[tuple[list[int], list[int]]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ngrams, "_BLOCK", block)
        patch.setattr(ngrams, "_MOST", most)  # 1: grams are numbered anew each time, as with very many letters
        wanted, seen = ([np.array(pair[side], dtype=np.int64) for pair in pairs] for side in (0, 1))
        found = shared_ngrams(wanted, seen, 4)
    assert found.tolist() == [[counted(*pair, n) for n in (1, 2, 3, 4)] for pair in pairs]


def test_letters_leave_white_space_out_and_take_anything() -> None:
    assert letters("a b\u2003\n").tolist() == [97, 98]
    assert letters("\U0001f600\ud800").tolist() == [0x1F600, 0xD800] and letters(" ").tolist() == []
