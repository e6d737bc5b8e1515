"""Who lands in which split: decided row by row from a hash, so that it does not change when rows are added or reordered.

Whatever the strategy, rows of one group stay together. Two strategies look at the whole set: `stratified` and `time` move a few
rows at the borders when rows are added (for `time` that is the point: the newest rows are the test).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, get_args

from ftcore.data.cleaning import normalise_for_match
from ftcore.data.clustering import clusters_of, near_duplicate_pairs
from ftcore.data.timestamps import moment
from ftcore.errors import DataRefused
from ftcore.spec import DataSpec, Split, SplitBy

Row = dict[str, Any]
SPLITS: tuple[Split, ...] = get_args(Split)
FindPairs = Callable[[Sequence[str]], Iterable[tuple[int, int]]]
"""Texts -> pairs of row numbers that are near-duplicates."""


def split_key(row: Mapping[str, Any]) -> str:
    """What must stay together: the group; without one, the normalised text (equal messages share a split)."""
    group = row.get("group")
    return f"group:{group}" if group else f"text:{normalise_for_match(row['text'] or '')}"


def split_of(key: str, validation_fraction: float, test_fraction: float) -> Split:
    """The split of one key. Test takes the low end of the hash range and validation the high end, so that a change of one
    fraction moves no row between the other two splits."""
    return _place(_hash(key), validation_fraction, test_fraction)


def _hash(key: str) -> float:
    return int.from_bytes(hashlib.sha256(f"ftcore split\n{key}".encode()).digest()[:8], "big") / 2**64


def _place(position: float, validation_fraction: float, test_fraction: float) -> Split:
    if position < test_fraction:
        return "test"
    return "validation" if position >= 1.0 - validation_fraction else "train"


def assign_splits(
    rows: Sequence[Row],
    split_by: SplitBy,
    validation_fraction: float,
    test_fraction: float,
    find_pairs: FindPairs = near_duplicate_pairs,
) -> list[Split]:
    """The split of each row.

    Raises:
        DataRefused: `time`, and no row has a timestamp (ISO 8601).
    """
    if split_by == "random":
        units = [split_key(row) if row.get("group") else f"id:{row['id']}" for row in rows]
    else:
        units = [split_key(row) for row in rows]
    if split_by == "near_duplicate":
        units = _cluster_keys(units, find_pairs([row["text"] or "" for row in rows]))
    if split_by == "stratified":
        position = _by_label(rows, units)
    elif split_by == "time":
        position = _by_time(rows, units)
    else:
        position = {unit: _hash(unit) for unit in units}
    if split_by == "time" and validation_fraction:  # newest to oldest: test, validation, train
        position = {unit: _next_to_test(place, validation_fraction, test_fraction) for unit, place in position.items()}
    homes = {unit: _place(place, validation_fraction, test_fraction) for unit, place in position.items()}
    return [homes[unit] for unit in units]


def _next_to_test(place: float, validation_fraction: float, test_fraction: float) -> float:
    """Turns the stretch after test round, so that validation takes its newest rows."""
    return place if place < test_fraction else 1.0 - (place - test_fraction)


def _cluster_keys(units: Sequence[str], pairs: Iterable[tuple[int, int]]) -> list[str]:
    """The smallest key of each row's cluster; rows of one key belong to one cluster."""
    first: dict[str, int] = {}
    same = [(first.setdefault(unit, number), number) for number, unit in enumerate(units)]
    clusters = clusters_of(len(units), [*same, *pairs])
    smallest: dict[int, str] = {}
    for unit, cluster in zip(units, clusters, strict=True):
        smallest[cluster] = min(unit, smallest.get(cluster, unit))
    return [smallest[cluster] for cluster in clusters]


def _by_label(rows: Sequence[Row], units: Sequence[str]) -> dict[str, float]:
    """Within each label units stand in the order of their hashes; a unit's place is the share of rows before its middle."""
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    for row, unit in zip(rows, units, strict=True):
        labels[unit][row.get("label") or ""] += 1
    strata: dict[str, list[str]] = defaultdict(list)
    for unit, counts in labels.items():
        strata[min((-count, label) for label, count in counts.items())[1]].append(unit)
    sizes = Counter(units)
    places: dict[str, float] = {}
    for members in strata.values():
        places |= _spread([[unit] for unit in sorted(members, key=lambda unit: (_hash(unit), unit))], sizes)
    return places


def _by_time(rows: Sequence[Row], units: Sequence[str]) -> dict[str, float]:
    """Newest units first, by their newest row; units of the same moment share a place, or the border would cut through it."""
    newest: dict[str, float] = {}
    for row, unit in zip(rows, units, strict=True):
        when = moment(row.get("timestamp"))
        # What is no timestamp is never the newest.
        newest[unit] = max(-float("inf") if when is None else when, newest.get(unit, -float("inf")))
    if rows and max(newest.values()) == -float("inf"):
        raise DataRefused(
            f"data.split_by is time, and none of {len(rows)} rows has a timestamp; wanted ISO 8601.",
            hint="map the column with data.columns.timestamp, or split by group",
        )
    moments: dict[float, list[str]] = defaultdict(list)
    for unit, when in newest.items():
        moments[when].append(unit)
    return _spread([moments[when] for when in sorted(moments, reverse=True)], Counter(units))


def _spread(blocks: Sequence[Sequence[str]], sizes: Mapping[str, int]) -> dict[str, float]:
    """Place of each block: the share of rows before its middle."""
    total = sum(sizes[unit] for block in blocks for unit in block)
    places: dict[str, float] = {}
    before = 0
    for block in blocks:
        size = sum(sizes[unit] for unit in block)
        places |= dict.fromkeys(block, (before + size / 2) / total)
        before += size
    return places


def split_rows(parts: Mapping[str, list[Row]], data: DataSpec) -> dict[Split, list[Row]]:
    """Sort rows into splits; order inside each split is kept.

    Args:
        parts: Rows per key of `data.files`: train, validation, test, any.
        data: Fractions; a split that has files of its own takes no rows from elsewhere.
    """
    test_fraction = 0.0 if "test" in parts else data.test_fraction
    validation_fraction = 0.0 if "validation" in parts else data.validation_fraction
    splits: dict[Split, list[Row]] = {
        "train": [],
        "validation": list(parts.get("validation", ())),
        "test": list(parts.get("test", ())),
    }
    for part, test in (("train", 0.0), ("any", test_fraction)):
        rows = parts.get(part, ())
        for row, split in zip(rows, assign_splits(rows, data.split_by, validation_fraction, test), strict=True):
            splits[split].append(row)
    return splits
