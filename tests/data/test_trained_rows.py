from __future__ import annotations

import pytest

from ftcore.data.leakage import Leak, find_leaks
from ftcore.data.trained_rows import TrainedRows, check_holdout
from ftcore.errors import DataRefused, IntegrityError
from ftcore.store import Store


def rows(*texts: str) -> list[dict]:
    return [{"id": str(number), "text": text} for number, text in enumerate(texts)]


def test_what_was_trained_on_stays_known() -> None:
    index = TrainedRows(Store(), "mine")
    assert not index.exists
    assert index.seen(rows("a")) == []
    assert index.add("first", rows("Hello, World", "b", "b")) == 2
    assert index.add("second", rows("b", "c")) == 1
    assert index.exists
    assert TrainedRows(Store(), "mine").seen(rows("hello world!", "new", "c", "")) == [0, 2]
    assert TrainedRows(Store(), "other").seen(rows("b")) == []


def test_adding_twice_changes_nothing() -> None:
    index = TrainedRows(Store(), "mine")
    index.add("first", rows("a"))
    before = sorted(path.name for path in (Store().root / "trained" / "mine").iterdir())
    assert index.add("first", rows("a")) == 0
    assert sorted(path.name for path in (Store().root / "trained" / "mine").iterdir()) == before


def test_the_budget_decides() -> None:
    index = TrainedRows(Store(), "mine")
    index.add("first", rows("a"))
    test = rows("a", "b", "c", "d")
    assert check_holdout(index, rows("b"), 0.0) is None
    note = check_holdout(index, test, 0.25)
    assert note is not None
    assert "1 of 4 holdout rows (25.00%)" in note
    with pytest.raises(DataRefused, match="wanted at most 20.00%") as refusal:
        check_holdout(index, test, 0.2)
    assert list(refusal.value.details) == ["ids 0"]


def test_a_damaged_index_is_no_clean_answer() -> None:
    index = TrainedRows(Store(), "mine")
    index.add("first", rows("a", "b"))
    path = Store().root / "trained" / "mine" / "first.u64"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(IntegrityError, match="damaged"):
        index.seen(rows("a"))


def test_the_rule_reports_rows_alone() -> None:
    assert find_leaks(rows("x"), rows("a", "b"), ["reused"], reused=[1]) == [Leak("reused", 1, None, 1.0)]
    assert find_leaks(rows("x"), rows("a", "b"), ["exact"], reused=[1]) == []
