"""Who lands in which split: decided by a hash of the row's group alone, so it never changes when rows are added."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, get_args

from ftcore.data.cleaning import normalise_for_match
from ftcore.spec import DataSpec, Split

Row = dict[str, Any]
SPLITS: tuple[Split, ...] = get_args(Split)


def split_key(row: Mapping[str, Any]) -> str:
    """What must stay together: the group; without one, the normalised text (equal messages share a split)."""
    group = row.get("group")
    return f"group:{group}" if group else f"text:{normalise_for_match(row['text'] or '')}"


def split_of(key: str, validation_fraction: float, test_fraction: float) -> Split:
    """The split of one key. Test takes the low end of the hash range and validation the high end, so that a change of one
    fraction moves no row between the other two splits."""
    number = int.from_bytes(hashlib.sha256(f"ftcore split\n{key}".encode()).digest()[:8], "big") / 2**64
    if number < test_fraction:
        return "test"
    return "validation" if number >= 1.0 - validation_fraction else "train"


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
    for row in parts.get("train", ()):
        splits[split_of(split_key(row), validation_fraction, 0.0)].append(row)
    for row in parts.get("any", ()):
        splits[split_of(split_key(row), validation_fraction, test_fraction)].append(row)
    return splits
