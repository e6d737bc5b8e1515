"""The benchmark of the slice finder: what is planted is there, what is counted is counted right, the table has a place."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import slices


@pytest.mark.parametrize("kind", slices.KINDS)
def test_the_planted_slice_has_its_mass_and_its_errors(kind: str) -> None:
    drawn = slices.draw(20_000, kind, np.random.default_rng(1))
    if kind == "none":
        assert not drawn.planted.any()
    else:
        assert drawn.planted.mean() == pytest.approx(slices.MASS, abs=0.01)
        assert drawn.loss[drawn.planted].mean() == pytest.approx(0.35, abs=0.05)
    assert drawn.loss[~drawn.planted].mean() == pytest.approx(0.2, abs=0.015)
    assert (drawn.groups is not None) is (kind == "groups")


def test_half_of_it_is_found_and_less_is_false() -> None:
    planted = np.arange(100) < 10
    count = slices.Count()
    count.add([planted], planted)
    count.add([np.arange(100) < 20], planted)
    count.add([np.arange(100) < 5], planted)
    assert (count.draws, count.found, count.shown, count.false) == (3, 3, 3, 0)
    count.add([np.arange(100) < 4, np.arange(100) < 21], planted)
    assert (count.found, count.false, count.draws_with_false) == (3, 1, 1)
    empty = slices.Count()
    empty.add([], np.zeros(100, dtype=bool))
    empty.add([planted], np.zeros(100, dtype=bool))
    assert (empty.found, empty.false) == (0, 1)


def test_the_same_draws_give_the_same_counts() -> None:
    assert slices.measure(2_000, "value", 2) == slices.measure(2_000, "value", 2)


def test_the_table_stands_in_the_document() -> None:
    document = slices.DOC.read_text(encoding="utf-8")
    assert slices.HEAD[0] in document
    assert slices.BEGIN in document and slices.END in document
