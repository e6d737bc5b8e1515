"""Feedback from a file or the command line into the feedback log, under the rules of the HTTP server."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ftcore.errors import UsageError
from ftcore.serving.log import append_rows, feedback_folder, now_utc
from ftcore.serving.requests import FeedbackItem
from ftcore.store import ftcore_home

_SHOWN = 5


def append_feedback(spec: str, rows: Sequence[Mapping[str, Any]]) -> int:
    """Check all rows, then append them durably; none is written if one is faulty.

    Args:
        rows: `id` (of an answer); `label`, or `reply` and `rating` or one of them; optional `source`.

    Returns:
        How many were written.

    Raises:
        UsageError: Rows have faults; each is named by its number, counted from 0.
    """
    items: list[FeedbackItem] = []
    faults: list[str] = []
    for number, row in enumerate(rows):
        try:
            items.append(FeedbackItem.model_validate(dict(row)))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "row"
            faults.append(f"row {number}: {place}: {first['msg'].removeprefix('Value error, ')}")
    if faults:
        raise UsageError(f"{len(faults)} of {len(rows)} rows have faults; none was noted:", details=faults[:_SHOWN])
    at = now_utc()
    append_rows(
        feedback_folder(ftcore_home(), spec), [{**item.model_dump(exclude_none=True), "at": at} for item in items]
    )
    return len(items)


def read_feedback(path: Path) -> list[dict[str, Any]]:
    """Rows of a CSV or JSONL file with the columns that `append_feedback` takes; other columns are left out.

    Raises:
        UsageError: The file is missing, of another kind, or not readable as what it is.
    """
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".jsonl", ".ndjson"):
        raise UsageError(f"{path}: saw a file ending {suffix or '(none)'!r}, wanted .csv or .jsonl.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = (
                list(csv.DictReader(file)) if suffix == ".csv" else [json.loads(line) for line in file if line.strip()]
            )
    except FileNotFoundError:
        raise UsageError(f"No file at {path}.", hint=f"ls {path.parent}") from None
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"Cannot read {path}: {error}.") from None
    if not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{path}: wanted one JSON object a line.")
    wanted = ("id", "label", "reply", "rating", "source")
    return [{name: row[name] for name in wanted if row.get(name) not in (None, "")} for row in rows]
