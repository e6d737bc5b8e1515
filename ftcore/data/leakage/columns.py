"""Rules on columns beside the text: group and time.

Pairs are kept linear: of m train and n test rows that share a key, every row appears in at least one hit, but not every
pair is listed (m * n of them would be a way to exhaust memory).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from ftcore.data.leakage.leaks import Chunk, Leak, Row
from ftcore.data.timestamps import moment
from ftcore.errors import DataRefused

Keys = Callable[[Chunk], Sequence[str | None]]


class SameKey:
    """Rows whose keys are equal; rows without a key (None or empty) match nothing."""

    def __init__(self, rule: str, keys: Keys, test: Sequence[Row]) -> None:
        self._rule, self._keys = rule, keys
        self._in_test: dict[str, list[int]] = defaultdict(list)
        for number, key in enumerate(keys(Chunk(0, test))):
            if key:
                self._in_test[key].append(number)
        self._told: set[str] = set()

    def search(self, chunk: Chunk) -> Iterator[Leak]:
        for number, key in enumerate(self._keys(chunk), chunk.start):
            if not key or key not in self._in_test:
                continue
            test_numbers = self._in_test[key]
            if key not in self._told:  # the first train row of a key is paired with all its test rows
                self._told.add(key)
                yield from (Leak(self._rule, test_number, number, 1.0) for test_number in test_numbers)
            else:
                yield Leak(self._rule, test_numbers[0], number, 1.0)

    def finish(self) -> Iterable[Leak]:
        return ()


class SeenLater:
    """Train rows from the start of the test period or later, and test rows that are not newer than all of train.

    Raises:
        DataRefused: Timestamps are there, and none of a chunk of rows can be read: an answer would mean nothing.
    """

    def __init__(self, test: Sequence[Row]) -> None:
        self._test = sorted(_stamped(test, 0, "test"))
        self._latest: tuple[float, int] | None = None

    def search(self, chunk: Chunk) -> Iterator[Leak]:
        if not self._test:
            return
        begin, first = self._test[0]
        for when, number in _stamped(chunk.rows, chunk.start, "train"):
            if when >= begin:
                self._latest = max(self._latest or (when, number), (when, number))
                yield Leak("time", first, number, 1.0)

    def finish(self) -> Iterator[Leak]:
        if self._latest is not None:
            latest, train_number = self._latest
            yield from (Leak("time", number, train_number, 1.0) for when, number in self._test[1:] if when <= latest)


def _stamped(rows: Sequence[Row], start: int, side: str) -> list[tuple[float, int]]:
    given = [(row["timestamp"], number) for number, row in enumerate(rows, start) if row.get("timestamp")]
    read = [(when, number) for stamp, number in given if (when := moment(stamp)) is not None]
    if given and not read:
        raise DataRefused(
            f"None of {len(given):,} timestamps of {side} can be read; wanted ISO 8601 (2026-01-31T12:00:00Z) or seconds "
            "since 1970.",
            hint="map the right column, or leave the rule `time` out",
        )
    return read
