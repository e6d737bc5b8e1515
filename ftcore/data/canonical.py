"""One raw row to canonical columns, and rows whose columns changed places."""

from __future__ import annotations

import datetime
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ftcore.data.conversations import COLUMNS, READERS, Malformed, generation_row
from ftcore.data.faults import Faults, Limits
from ftcore.data.formats import load_json

Row = dict[str, Any]
REQUIRED = ("text", "label")
OPTIONAL = ("group", "timestamp", "source")
_ALWAYS = ("id", *OPTIONAL)
_CLASSIFICATION = (*_ALWAYS, *REQUIRED)
# How programs write "no value" as text. "NA", "none" and the like are words that people use, so they stay what they are.
_NO_VALUE = frozenset({"nan", "NaN", "NAN", "NULL", "null", "<NA>", "NaT", "#N/A", "\\N"})
_EXACT_INTEGERS = 2**53  # a float beyond that has lost digits


def canonical_row(
    raw: Mapping[str, Any],
    mapping: Mapping[str, str],
    format: str,
    position: str,
    line: int,
    faults: Faults,
    limits: Limits,
) -> Row | None:
    """A row in canonical columns; None, with a fault, if it is malformed."""
    classify = format == "classification"
    row: Row = {"id": position, "text": None, "label": None} if classify else {"id": position}
    details = []
    parts = _CLASSIFICATION if classify else _ALWAYS
    for part in (*parts, "difficulty") if mapping.get("difficulty") else parts:
        column = mapping[part]
        value = raw.get(column)
        if value is None or isinstance(value, float) and math.isnan(value):
            continue
        plain = plain_text(value) if part != "text" or isinstance(value, str) else None
        if plain is None:
            details.append(f"saw a {type(value).__name__} in column {column!r}, wanted text")
            continue
        stripped = plain.strip()
        if part != "id" and stripped in _NO_VALUE:
            continue
        if part == "text":
            row[part] = plain
        elif stripped:
            row[part] = stripped
    if details:
        faults.add_row("bad_value", "; ".join(details), line, str(row["id"]))
        return None
    if not classify:
        try:
            row |= _conversation(raw, mapping, format, limits)
        except Malformed as error:
            faults.add_row("malformed_conversation", str(error), line, str(row["id"]))
            return None
    return row


def _conversation(raw: Mapping[str, Any], mapping: Mapping[str, str], format: str, limits: Limits) -> Row:
    """`messages`, `text` and `completion`.

    Raises:
        Malformed: See `ftcore.data.conversations`.
    """
    needed, optional = COLUMNS[format]
    fields = {part: raw.get(mapping[part]) for part in (*needed, *optional)}
    for part in ("messages", "conversations"):
        if isinstance(fields.get(part), str):  # a cell of CSV or Parquet
            try:
                fields[part] = load_json(str(fields[part]), limits.nesting)
            except ValueError as error:
                raise Malformed(f"{error} in column {mapping[part]!r}, wanted a list of turns as JSON") from None
    messages = READERS[format](fields)
    return generation_row([{**turn, "content": _printable(turn["content"])} for turn in messages])


def _printable(text: str) -> str:
    """A lone surrogate ("\\ud800" in JSON) cannot be written as UTF-8; it becomes U+FFFD, which prepare quarantines."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def plain_text(value: Any) -> str | None:
    """A scalar as text, None for anything else. A float that is whole is an integer that met a null column (3.0 is 3)."""
    if isinstance(value, str):
        return _printable(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_INTEGERS:
        return str(int(value))
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat()
    return None


def leave_out_swapped(rows: list[Row], lines: Sequence[int], faults: Faults) -> list[Row]:
    """Refuse a file whose text and label columns have changed places, and leave out single rows of which that is true.

    Labels are few and come again, texts do not. Swapped file: most labels differ, there are more of them than texts, and they
    are longer. Swapped row: its text is a label that several rows have, and its label is one that no other row has.
    """
    full = [row for row in rows if row["text"] and row["label"]]
    counts = Counter(row["label"] for row in full)
    num_texts = len({row["text"] for row in full})
    longer = sum(len(row["label"]) - len(row["text"]) for row in full) > 0
    if len(full) >= 10 and longer and 2 * len(counts) > len(full) and len(counts) > num_texts:
        seen = f"saw {len(counts)} labels and {num_texts} texts in {len(full)} rows, the labels longer"
        faults.add(f"{seen}: text and label look swapped; swap data.columns.text and data.columns.label")
        return rows
    kept = []
    for line, row in zip(lines, rows, strict=True):
        if row["text"] and row["label"] and counts[row["label"]] == 1 and counts[row["text"].strip()] > 1:
            detail = "saw a label as text and a label that no other row has, wanted text and label in their own columns"
            faults.add_row("swapped_columns", detail, line, row["id"])
        else:
            kept.append(row)
    return kept
