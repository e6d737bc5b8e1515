"""A file of conversations from one format into another, without losing a turn."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftcore.data.canonical import OPTIONAL
from ftcore.data.conversations import (
    READERS,
    Malformed,
    to_alpaca,
    to_messages,
    to_prompt_completion,
    to_sharegpt,
    to_turns,
)
from ftcore.data.faults import RowFault
from ftcore.data.reading import GENERATION_FORMATS, malformed_faults, read_file
from ftcore.errors import BaseModelError, DataRefused, UsageError
from ftcore.spec import ColumnsSpec
from ftcore.store import write_durable

Row = dict[str, Any]
WRITERS: dict[str, Callable[[Row], Row]] = {
    "messages": to_messages,
    "prompt_completion": to_prompt_completion,
    "alpaca": to_alpaca,
    "sharegpt": to_sharegpt,
    "turns": to_turns,
}
"""How each generation format is written."""
_SHOWN = 20


@dataclass(frozen=True)
class Converted:
    """What became of a file."""

    format: str
    """Format that it was read as."""
    num_rows: int
    """Rows written."""
    malformed: list[RowFault]
    """Rows left out because they are no conversations."""
    kept: tuple[str, ...]
    """Columns carried over beside the conversation: id, group, timestamp, source, where the file has them."""


def convert_file(
    source: Path,
    target: Path,
    write: Callable[[Row], Row],
    columns: ColumnsSpec,
    formats: Sequence[str] = GENERATION_FORMATS,
    max_left_out: float = 0.05,
) -> Converted:
    """Read conversations and write them as JSONL, or as plain text if the target ends in `.txt`; all or nothing.

    Args:
        write: One of WRITERS, or `template_writer(…)`.
        columns: Names that the file has.
        formats: What the file may be; its columns decide among several.
        max_left_out: Share of rows that may be left out because they are malformed.

    Raises:
        UsageError: The source is missing, or the target is there already or ends in something else.
        DataRefused: The file is broken, of no known format, or has too many malformed rows; or the format cannot hold some of the
            conversations: their rows are named.
    """
    _check_paths(source, target, write)
    rows, faults = read_file(source, columns, formats=formats)
    if not rows and not faults.count:
        faults.add("saw 0 rows, wanted at least 1")
    refused = [*faults.file_report(), *malformed_faults(faults.rows, len(rows), max_left_out)]
    if refused:
        raise DataRefused(f"{source} cannot be converted:", details=refused, hint="correct the file and try again")
    plain = target.suffix == ".txt"
    written = _written(rows, write, source)
    beside = [{} if plain else _beside(row, faults.file) for row in rows]
    blocks = [
        f"{row['text']}\n" if plain else json.dumps(more | row, ensure_ascii=False, allow_nan=False)
        for more, row in zip(beside, written, strict=True)
    ]
    write_durable(target, "\n".join(blocks) + ("" if plain else "\n"))
    kept = tuple(name for name in ("id", *OPTIONAL) if any(name in more for more in beside))
    return Converted(str(faults.format), len(rows), faults.rows, kept)


def template_writer(model_folder: Path) -> Callable[[Row], Row]:
    """Writes {"text"}: the conversation as the chat template of a base model renders it.

    Raises:
        BaseModelError: The folder has no tokenizer, or the tokenizer no chat template.
    """
    from ftcore.data.templates import load_chat_tokenizer, render_chat

    tokenizer = load_chat_tokenizer(model_folder)

    def write(row: Row) -> Row:
        return {"text": render_chat(tokenizer, row["messages"])}

    return write


def _check_paths(source: Path, target: Path, write: Callable[[Row], Row]) -> None:
    if not source.is_file():
        raise UsageError(f"No file at {source}; wanted CSV, JSONL, Parquet or text rows.", hint=f"ls {source.parent}")
    endings = (".jsonl", ".ndjson", ".txt") if write is to_turns else (".jsonl", ".ndjson")
    if target.suffix not in endings:
        raise UsageError(f"{target}: saw the ending {target.suffix or '(none)'!r}, wanted {' or '.join(endings)}.")
    if target.exists():
        raise UsageError(f"{target} is there already and is not overwritten.", hint="name another file")


def _written(rows: Sequence[Row], write: Callable[[Row], Row], source: Path) -> list[Row]:
    """The rows in the new format, each read back and compared.

    Raises:
        DataRefused: The format cannot hold some of them.
    """
    reader = next((READERS[name] for name, writer in WRITERS.items() if writer is write), None)
    written: list[Row] = []
    lost = []
    for row in rows:
        try:
            written.append(write(row))
        except (UsageError, BaseModelError) as error:
            lost.append(f"{row['id']}: {error.message}")
            continue
        if reader is not None and not _same(row["messages"], reader, written[-1]):
            lost.append(f"{row['id']}: Reading it back would give other turns.")
    if lost:
        more = [f"and {len(lost) - _SHOWN} more rows"] if len(lost) > _SHOWN else []
        message = f"{len(lost)} of {len(rows)} rows of {source} do not fit; nothing was written:"
        raise DataRefused(message, details=[*lost[:_SHOWN], *more], hint="--to messages holds every conversation")
    return written


def _same(messages: Sequence[Mapping[str, str]], reader: Callable[[Row], list[dict[str, str]]], row: Row) -> bool:
    try:
        again = reader(row)
    except Malformed:
        return False
    # `turns` strips contents: white space around a turn is not what it says.
    return [(turn["role"], turn["content"].strip()) for turn in again] == [
        (turn["role"], turn["content"].strip()) for turn in messages
    ]


def _beside(row: Row, file: str) -> Row:
    """The optional columns of a row; an id that is its place in the file is left out."""
    is_place = row["id"].startswith(f"{file}:") and row["id"].rpartition(":")[2].isdigit()
    return {name: row[name] for name in ("id", *OPTIONAL) if name in row and not (name == "id" and is_place)}
