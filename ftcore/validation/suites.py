"""Expectation suites: Great Expectations' own JSON, reviewed like code.

    {"name": "classification",
     "expectations": [{"type": "expect_column_values_to_not_be_null",
                       "kwargs": {"column": "text", "mostly": 0.99},
                       "meta": {"notes": "why", "splits": ["train"], "if_present": true}}]}

Expectations see the canonical columns (id, text, label, group, timestamp, source). `meta.notes` says why the expectation is
there and is required. `meta.splits` limits it to some splits. `meta.if_present: true` drops it where the data has no such
column; without it, a missing column is a failure. `starter.json` beside this file is what `ftcore init` writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftcore.errors import UsageError
from ftcore.records import digest_of

STARTER = Path(__file__).with_name("starter.json")
_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Entry:
    """One expectation as written in the file."""

    type: str
    kwargs: Mapping[str, Any]
    meta: Mapping[str, Any]

    @property
    def column(self) -> str | None:
        column = self.kwargs.get("column")
        return column if isinstance(column, str) else None

    def applies(self, split: str, columns: Iterable[str]) -> bool:
        """False where `meta` takes it out of this split, or its optional column is absent."""
        if split not in self.meta.get("splits", _SPLITS):
            return False
        return not self.meta.get("if_present") or self.column in list(columns)

    def __str__(self) -> str:
        return f"{self.type}({self.column})" if self.column else self.type


# What no suite may leave out: on zero rows, or without the column, GX's map expectations pass or merely raise.
MANDATORY = (
    Entry("expect_table_row_count_to_be_between", {"min_value": 1}, {"notes": "An empty split judges nothing."}),
    *(
        Entry("expect_column_to_exist", {"column": column}, {"notes": "No later stage can do without it."})
        for column in ("id", "text", "label")
    ),
)


@dataclass(frozen=True)
class Suite:
    """A loaded suite. `digest` covers its content, not its formatting."""

    name: str
    entries: tuple[Entry, ...]
    digest: str

    def for_split(self, split: str, columns: Iterable[str]) -> list[Entry]:
        """The mandatory expectations, then those of the file that apply."""
        there = list(columns)
        absent = (
            "label" if "completion" in there else "completion"
        )  # generation rows have no label, others no completion
        own = [entry for entry in self.entries if entry.applies(split, there)]
        return [
            *(entry for entry in MANDATORY if entry not in own and (absent is None or entry.column != absent)),
            *own,
        ]


def load_suite(path: Path) -> Suite:
    """Read and check a suite file.

    Raises:
        UsageError: It is missing, not JSON, or has faulty entries; every fault is listed.
    """
    hint = "set validation.suite, or copy the starter suite that `ftcore init` writes"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"No expectation suite at {path} (validation.suite).", hint=hint) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"Cannot read the expectation suite {path}: {error}.", hint=hint) from None
    if (
        not isinstance(raw, dict)
        or not isinstance(raw.get("expectations"), list)
        or not isinstance(raw.get("name"), str)
    ):
        raise UsageError(f"{path} is not an expectation suite; wanted {{name: ..., expectations: [...]}}.", hint=hint)
    faults = [fault for number, item in enumerate(raw["expectations"]) for fault in _faults(number, item)]
    if not raw["expectations"]:
        faults.append(
            "expectations: saw an empty list, wanted at least one (a suite that expects nothing passes anything)"
        )
    if faults:
        raise UsageError(f"The expectation suite {path} has {len(faults)} fault(s):", details=faults, hint=hint)
    entries = tuple(Entry(item["type"], item.get("kwargs", {}), item["meta"]) for item in raw["expectations"])
    return Suite(raw["name"], entries, digest_of(raw))


def _faults(number: int, item: Any) -> Iterable[str]:
    place = f"expectations[{number}]"
    if not isinstance(item, dict) or not isinstance(item.get("type"), str):
        yield f"{place}: wanted an object with `type`, `kwargs` and `meta`"
        return
    place = f"{place} {item['type']}"
    unknown = sorted(item.keys() - {"type", "kwargs", "meta", "id", "severity"})
    if unknown:
        yield f"{place}: unknown keys {', '.join(unknown)}; allowed: type, kwargs, meta"
    meta = item.get("meta")
    if not isinstance(meta, dict) or not str(meta.get("notes") or "").strip():
        yield f"{place}: meta.notes is missing, wanted a sentence that says why this is expected"
    elif not set(meta.get("splits", _SPLITS)) <= set(_SPLITS):
        yield f"{place}: meta.splits is {meta['splits']!r}; allowed: {', '.join(_SPLITS)}"
    if not isinstance(item.get("kwargs", {}), dict):
        yield f"{place}: kwargs is a {type(item['kwargs']).__name__}, wanted an object"
