"""Leaks: test (or validation) rows that training would see. Each rule yields pairs; rows leave train, never test.

Pairs are kept linear: of m train and n test rows that share a key, every row appears in at least one hit, but not every
pair is listed (m * n of them would be a way to exhaust memory).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ftcore.data.cleaning import normalise_for_match
from ftcore.errors import UsageError

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Leak:
    """One hit. Row numbers count from 0."""

    rule: str
    test_row: int
    train_row: int
    score: float
    """Similarity under the rule, 0 to 1; 1: the same under the rule."""


Pair = tuple[int, int, float]
"""test row, train row, score"""
Rule = Callable[[Sequence[Row], Sequence[Row]], Iterator[Pair]]


def _same(key: Callable[[Row], str | None]) -> Rule:
    """Rows whose keys are equal; rows without a key (None or empty) match nothing."""

    def find(train: Sequence[Row], test: Sequence[Row]) -> Iterator[Pair]:
        in_test: dict[str, list[int]] = defaultdict(list)
        for number, row in enumerate(test):
            if value := key(row):
                in_test[value].append(number)
        in_train: dict[str, list[int]] = defaultdict(list)
        for number, row in enumerate(train):
            if (value := key(row)) in in_test:
                in_train[value or ""].append(number)
        for value, train_numbers in in_train.items():
            test_numbers = in_test[value]
            yield from ((number, train_numbers[0], 1.0) for number in test_numbers)
            yield from ((test_numbers[0], number, 1.0) for number in train_numbers[1:])

    return find


def _seen_later(train: Sequence[Row], test: Sequence[Row]) -> Iterator[Pair]:
    """Test rows that are not newer than all of train: training has seen something from after them.

    ISO 8601 timestamps of one format sort as text.
    """
    stamped = [(row["timestamp"], number) for number, row in enumerate(train) if row.get("timestamp")]
    if not stamped:
        return
    latest, train_number = max(stamped)
    for number, row in enumerate(test):
        if row.get("timestamp") and row["timestamp"] <= latest:
            yield number, train_number, 1.0


# In order of strength. A text rule reports only what the text rules before it have not.
TEXT_RULES: dict[str, Rule] = {
    "exact": _same(lambda row: row["text"]),
    "normalised": _same(lambda row: normalise_for_match(row["text"] or "")),
}
OTHER_RULES: dict[str, Rule] = {"group": _same(lambda row: row.get("group")), "time": _seen_later}


def find_leaks(train: Sequence[Row], test: Sequence[Row], rules: Sequence[str]) -> list[Leak]:
    """Every leaked test row and every train row it leaked through, by rule, sorted by test row.

    Args:
        train: Rows with `text` and, for the rules that need them, `group` and `timestamp`.
        test: Rows of the same form.
        rules: Names out of TEXT_RULES and OTHER_RULES.

    Raises:
        UsageError: An unknown rule.
    """
    known = TEXT_RULES | OTHER_RULES
    unknown = sorted(set(rules) - known.keys())
    if unknown:
        raise UsageError(f"Unknown leakage rule {', '.join(unknown)}; known: {', '.join(known)}.")
    leaks: list[Leak] = []
    test_seen: set[int] = set()
    train_seen: set[int] = set()
    for name, rule in known.items():
        if name not in rules:
            continue
        for pair in rule(train, test):
            if name in TEXT_RULES:
                if pair[0] in test_seen and pair[1] in train_seen:
                    continue  # both are told of already, by this rule or a stricter one
                test_seen.add(pair[0])
                train_seen.add(pair[1])
            leaks.append(Leak(name, *pair))
    return sorted(leaks, key=lambda leak: (leak.test_row, leak.train_row, leak.rule))


def leaked_fraction(leaks: Sequence[Leak], num_test: int) -> float:
    """Share of test rows with at least one hit; 0 where there are no test rows (an empty split is refused elsewhere)."""
    return len({leak.test_row for leak in leaks}) / num_test if num_test else 0.0


def count_by_rule(leaks: Sequence[Leak], rules: Sequence[str]) -> dict[str, int]:
    """Leaked test rows per rule, rules without hits included."""
    return {rule: len({leak.test_row for leak in leaks if leak.rule == rule}) for rule in rules}
