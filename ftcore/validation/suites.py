"""Expectation suites: Great Expectations' own JSON, reviewed like code.

    {"name": "classification",
     "expectations": [{"type": "expect_column_values_to_not_be_null",
                       "kwargs": {"column": "text", "mostly": 0.99},
                       "meta": {"notes": "why", "splits": ["train"], "if_present": true}}]}

Expectations see the canonical columns (id, text, label or completion and messages, group, timestamp, source). `meta.notes` says
why the expectation is there and is required. `meta.splits` limits it to some splits. `meta.if_present: true` drops it where the
data has no such column; without it, a missing column is a failure. `meta.action` is `quarantine` (rows at fault are set aside,
`meta.reason` says why in a word) or `refuse` (the whole set is); without it the expectation's own default holds, which is refuse
for all that Great Expectations brings along. `meta.wanted` are the words for what the arguments want, where those are a pattern.
`starters/` beside this file has one suite per task; `ftcore init` writes one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftcore.errors import UsageError, num_of
from ftcore.records import digest_of

STARTERS = Path(__file__).with_name("starters")
ABOUT_TOKENS = (
    "expect_column_text_to_fit_tokens",
    "expect_column_messages_to_reach_eos",
    "expect_column_messages_to_survive_template",
)
ABOUT_LEAKS = "expect_table_to_have_no_leaks"
_SPLITS = ("train", "validation", "test")
_ACTIONS = ("quarantine", "refuse")
_REASON = re.compile(r"[a-z][a-z0-9_]{0,40}")


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

    def applies(self, split: str, columns: Iterable[str], has_tokenizer: bool) -> bool:
        """False where `meta` takes it out of this split, or what is optional (a column, the tokenizer) is absent."""
        if split not in self.meta.get("splits", _SPLITS):
            return False
        if not self.meta.get("if_present"):
            return True
        return (self.column is None or self.column in list(columns)) and (
            has_tokenizer or self.type not in ABOUT_TOKENS
        )

    def __str__(self) -> str:
        return f"{self.type}({self.column})" if self.column else self.type


def starter(task: str) -> Path:
    """The starter suite of a task: classification, instruction or seq2seq.

    Raises:
        UsageError: There is no such task.
    """
    path = STARTERS / f"{task}.json"
    if not path.is_file():
        known = ", ".join(sorted(other.stem for other in STARTERS.glob("*.json")))
        raise UsageError(f"There is no starter suite for the task {task!r}; known: {known}.", hint="correct `task`")
    return path


def required_columns(task: str) -> tuple[str, ...]:
    """Columns that no later stage of a task can do without."""
    return ("id", "text", "label") if task == "classification" else ("id", "text", "completion", "messages")


def mandatory(task: str) -> tuple[Entry, ...]:
    """What no suite may leave out: on zero rows, or without the column, GX's map expectations pass or merely raise."""
    notes = {"notes": "No later stage can do without it."}
    return (
        Entry("expect_table_row_count_to_be_between", {"min_value": 1}, {"notes": "An empty split judges nothing."}),
        *(Entry("expect_column_to_exist", {"column": column}, notes) for column in required_columns(task)),
    )


@dataclass(frozen=True)
class Suite:
    """A loaded suite. `digest` covers its content, not its formatting."""

    name: str
    entries: tuple[Entry, ...]
    digest: str

    @property
    def needs_tokenizer(self) -> bool:
        """True if an expectation looks at tokens: then the base model must be there when rows are judged."""
        return any(entry.type in ABOUT_TOKENS for entry in self.entries)

    @property
    def word_files(self) -> list[str]:
        """Word lists that expectations name, sorted."""
        named = (entry.kwargs.get("words_file") for entry in self.entries)
        return sorted({name for name in named if isinstance(name, str) and name})

    def for_split(
        self, split: str, columns: Iterable[str], task: str = "classification", has_tokenizer: bool = False
    ) -> list[Entry]:
        """The mandatory expectations, then those of the file that apply."""
        there = list(columns)
        own = [entry for entry in self.entries if entry.applies(split, there, has_tokenizer)]
        return [*(entry for entry in mandatory(task) if entry not in own), *own]


def suite_text(raw: Mapping[str, Any]) -> str:
    """A suite as a file that reads well: one expectation a line."""
    lines = [f"  {json.dumps(item, ensure_ascii=False)}" for item in raw["expectations"]]
    head = {key: value for key, value in raw.items() if key != "expectations"}
    fields = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items()]
    return "{\n" + ",\n".join([*fields, '"expectations": [\n' + ",\n".join(lines) + "\n]"]) + "\n}\n"


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
        raise UsageError(f"The expectation suite {path} has {num_of(len(faults), 'fault')}:", details=faults, hint=hint)
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
    if isinstance(meta, dict) and meta.get("action", "refuse") not in _ACTIONS:
        yield f"{place}: meta.action is {meta['action']!r}; allowed: {', '.join(_ACTIONS)}"
    if isinstance(meta, dict) and meta.get("action") == "quarantine" and item["type"] == ABOUT_LEAKS:
        yield f"{place}: meta.action is 'quarantine', wanted none: leaked rows leave train (prepare sees to it), never test"
    if isinstance(meta, dict) and not _REASON.fullmatch(str(meta.get("reason", "none"))):
        yield f"{place}: meta.reason is {meta['reason']!r}; wanted a word like lost_label (a-z, 0-9, _)"
    if isinstance(meta, dict) and not isinstance(meta.get("wanted", ""), str):
        yield f"{place}: meta.wanted is {meta['wanted']!r}, wanted words"
    if not isinstance(item.get("kwargs", {}), dict):
        yield f"{place}: kwargs is a {type(item['kwargs']).__name__}, wanted an object"
