"""Few-shot rows: k of each class, the same for the same seed, nested, and independent of other classes."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.errors import DataRefused
from ftcore.training.shots import few_shot

ROWS = [{"id": str(number), "text": "x", "label": f"c{number % 4}"} for number in range(60)]


@given(st.integers(1, 15), st.integers(0, 5))
def test_k_of_each_class_in_their_old_order(shots: int, seed: int) -> None:
    kept = few_shot(ROWS, shots, seed)
    assert Counter(row["label"] for row in kept) == dict.fromkeys(("c0", "c1", "c2", "c3"), shots)
    assert kept == [row for row in ROWS if row in kept] == few_shot(ROWS, shots, seed)
    more = few_shot(ROWS, min(15, shots + 1), seed)
    assert all(row in more for row in kept)


def test_other_classes_and_other_seeds() -> None:
    alone = few_shot([row for row in ROWS if row["label"] == "c1"], 3, 17)
    assert alone == [row for row in few_shot(ROWS, 3, 17) if row["label"] == "c1"]
    assert few_shot(ROWS, 3, 17) != few_shot(ROWS, 3, 18)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(
        DataRefused, match="4 of 4 classes have fewer than method.shots 16 training rows .fewest: 15"
    ) as caught:
        few_shot(ROWS, 16, 17)
    assert caught.value.hint == "--set method.shots=15"
