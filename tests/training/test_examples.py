"""The order of the rows: a permutation, grouped by length, fixed by its seed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ftcore.training.examples import LengthGroupedSampler, collate, length_grouped_order

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=300)


@given(LENGTHS, st.integers(1, 17), st.integers(0, 5))
def test_every_row_once_and_the_same_for_the_same_seed(lengths: list[int], batch_size: int, seed: int) -> None:
    order = length_grouped_order(lengths, batch_size, seed)
    assert sorted(order) == list(range(len(lengths)))
    assert order == length_grouped_order(lengths, batch_size, seed)


@given(LENGTHS, st.integers(1, 17), st.integers(0, 5))
def test_batches_hold_rows_of_like_length(lengths: list[int], batch_size: int, seed: int) -> None:
    """In one pool, batches do not overlap in length: no order pads less."""
    lengths = lengths[: batch_size * 50]
    order = length_grouped_order(lengths, batch_size, seed)
    batches = [
        [lengths[row] for row in order[start : start + batch_size]] for start in range(0, len(order), batch_size)
    ]
    batches.sort(key=lambda batch: (min(batch), max(batch)))
    assert all(max(one) <= min(other) for one, other in zip(batches, batches[1:], strict=False))


def test_epochs_differ_and_batches_are_not_sorted() -> None:
    sampler = LengthGroupedSampler(list(range(1, 201)), 10, seed=3)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first
    starts = first[::10]
    assert starts != sorted(starts) and starts != sorted(starts, reverse=True)


def test_collate_pads_on_the_right() -> None:
    batch = collate([([2, 5, 3], 1), ([2, 3], 0)], pad_id=9)
    assert batch["input_ids"].tolist() == [[2, 5, 3], [2, 3, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch["labels"].tolist() == [1, 0]
