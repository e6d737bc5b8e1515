from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ftcore.data.leakage import Leak, count_by_rule, find_leaks, leaked_fraction
from ftcore.errors import DataRefused, UsageError

BOTH = ["exact", "normalised"]


def as_rows(*texts: str, **more: str) -> list[dict]:
    return [{"text": text, **more} for text in texts]


def test_each_rule_finds_its_own() -> None:
    train = as_rows("Same text", "HELLO, world", "other")
    test = as_rows("fresh", "Same text", "hello world!")
    assert find_leaks(train, test, BOTH) == [Leak("exact", 1, 0, 1.0), Leak("normalised", 2, 1, 1.0)]
    assert find_leaks(train, test, ["exact"]) == [Leak("exact", 1, 0, 1.0)]


def test_a_second_twin_in_train_is_found_too() -> None:
    leaks = find_leaks(as_rows("a b", "A B", "a b"), as_rows("a b"), BOTH)
    assert {leak.train_row for leak in leaks} == {0, 1, 2}
    assert [leak.rule for leak in leaks] == ["exact", "normalised", "exact"]


texts = st.lists(st.sampled_from(["a", "A", "a!", "b", "B b", "b B", "c", ""]), max_size=12)


@given(texts, texts)
@example(["A", "a"], ["a", "a", "a"])
def test_exactly_the_rows_with_a_twin_are_reported(train: list[str], test: list[str]) -> None:
    from ftcore.data.cleaning import normalise_for_match as key

    leaks = find_leaks(as_rows(*train), as_rows(*test), BOTH)
    known, asked = {key(text) for text in train} - {""}, {key(text) for text in test} - {""}
    assert {leak.test_row for leak in leaks} == {n for n, text in enumerate(test) if key(text) in known}
    assert {leak.train_row for leak in leaks} == {n for n, text in enumerate(train) if key(text) in asked}
    assert len(leaks) <= len(train) + len(test)


def test_empty_texts_are_no_leak() -> None:
    assert find_leaks(as_rows("", " "), as_rows("", " "), BOTH)[:1] in ([], [Leak("exact", 1, 1, 1.0)])


def test_group_and_time() -> None:
    train = [{"text": "a", "group": "c1", "timestamp": "2026-01-05"}, {"text": "b", "group": None}]
    test = [
        {"text": "x", "group": "c1", "timestamp": "2026-01-01"},
        {"text": "y", "group": None, "timestamp": "2026-02-01"},
    ]
    assert find_leaks(train, test, ["group"]) == [Leak("group", 0, 0, 1.0)]
    assert find_leaks(train, test, ["time"]) == [Leak("time", 0, 0, 1.0)]
    assert find_leaks([{"text": "a"}], test, ["time"]) == []


def test_time_starts_with_the_first_test_row() -> None:
    train = [{"text": "a", "timestamp": "2026-01-03"}, {"text": "b", "timestamp": "2026-01-02"}]
    test = [{"text": "x", "timestamp": stamp} for stamp in ("2026-01-03", "2026-01-04", "2026-01-03T00:00:01")]
    hits = {(leak.test_row, leak.train_row) for leak in find_leaks(train, test, ["time"])}
    assert hits == {(0, 0)}
    test.append({"text": "y", "timestamp": "2026-01-02"})
    hits = {(leak.test_row, leak.train_row) for leak in find_leaks(train, test, ["time"])}
    assert hits == {(3, 0), (3, 1), (0, 0)}  # both train rows are late now, and the newest is not older than test row 0


def test_time_zones_are_compared_as_times_and_unreadable_stamps_are_no_clean_answer() -> None:
    train = [{"text": "a", "timestamp": "2026-01-03T01:00:00+05:00"}]  # 20:00 UTC of the day before
    assert find_leaks(train, [{"text": "x", "timestamp": "2026-01-03T00:00:00Z"}], ["time"]) == []
    with pytest.raises(DataRefused, match="None of 1 timestamps of test"):
        find_leaks(train, [{"text": "x", "timestamp": "last Tuesday"}], ["time"])


def test_counts() -> None:
    leaks = find_leaks(as_rows("a", "a"), as_rows("a", "a", "b", "c"), BOTH)
    assert count_by_rule(leaks, BOTH) == {"exact": 2, "normalised": 0}
    assert leaked_fraction(leaks, 4) == 0.5
    assert leaked_fraction([], 0) == 0.0


def test_unknown_rule() -> None:
    with pytest.raises(UsageError, match="guess"):
        find_leaks([], [], ["guess"])


def test_equal_rows_by_the_thousand_stay_linear() -> None:
    started = time.monotonic()
    leaks = find_leaks(as_rows("same") * 20_000, as_rows("same") * 20_000, BOTH)
    assert len(leaks) == 39_999
    assert time.monotonic() - started < 20
