"""Bounded readers of CSV, JSONL, Parquet and plain text: hostile or broken files cost little, every fault is named.

The `datasets` library is not used to parse: it guesses types by block (the label "NA" becomes null, "007" becomes 7, ISO dates
become timestamps), stops at the first fault, cannot name its line, and reads a line of any length into memory. Here values
stay what the file says, reading streams, and one pass lists the faults. Parquet goes through pyarrow in small batches.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ftcore.data.faults import Faults, Limits, RowFault, short_names
from ftcore.data.sniffing import other_kind, other_separator
from ftcore.data.streams import read_lines

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".txt", ".parquet")
PACKED = tuple(f"{suffix}.gz" for suffix in SUFFIXES if suffix != ".parquet")
Numbered = tuple[int, dict[str, Any]]
"""Line number (1-based; for Parquet the row) and the raw row by the file's own column names."""
_CONVERSATION = re.compile(r"### ?(Human|System)\s*:")


def kind_of(path: Path) -> str | None:
    """The ending that says how to read a file, without `.gz`; None for one that is not read."""
    name = path.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix) or name.endswith(f"{suffix}.gz")), None)


def read_rows(
    path: Path, wanted: Iterable[str], faults: Faults, limits: Limits, *, text_column: str = "text"
) -> Iterator[Numbered]:
    """Stream the rows of one file; faults go into `faults` and their rows are left out.

    Args:
        path: File with one of SUFFIXES or PACKED.
        wanted: Column names worth reading; Parquet reads no others.
        text_column: What to call the conversations of a plain text file, which has no columns.
    """
    from ftcore.data.parquet import read_parquet

    kind, stored = kind_of(path), path.stat().st_size
    if other := other_kind(path, kind):
        faults.add(other)
    elif kind is None or path.name.lower().endswith(".parquet.gz"):
        endings = f"{', '.join(SUFFIXES)}, or {PACKED[0]} and the like"
        faults.add(f"saw the ending {path.suffix or '(none)'!r}, wanted one of {endings}")
    elif stored > limits.file_bytes:
        faults.add(f"saw {stored:,} bytes, wanted at most {limits.file_bytes:,}; split the file")
    elif kind == ".parquet":
        yield from read_parquet(path, frozenset(wanted), faults, limits)
    elif kind in (".csv", ".tsv"):
        yield from _read_csv(path, "\t" if kind == ".tsv" else ",", faults, limits)
    elif kind == ".txt":
        yield from _read_conversations(path, text_column, faults, limits)
    else:
        yield from _read_jsonl(path, faults, limits)


class RepeatedKey(ValueError):
    """One JSON object has a key twice: readers of JSON disagree about which one counts."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise RepeatedKey(f"saw the key {short_names([next(key for key in keys if keys.count(key) > 1)])} twice")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_object)  # json.loads would build one for each line


def load_json(text: str, nesting: int) -> Any:
    """JSON text as values; depth is limited and no key may come twice.

    Raises:
        RepeatedKey: A key comes twice in one object.
        ValueError: Anything else that is wrong; like the former it says what was seen, and holds no row text but keys.
    """
    if _too_deep(text, nesting):
        raise ValueError(f"saw JSON nested deeper than {nesting}")
    try:
        return _DECODER.decode(text)
    except RepeatedKey:
        raise
    except json.JSONDecodeError as error:
        hint = "; line ends are CR alone: tr '\\r' '\\n'" if "\r" in text.strip() else ""
        raise ValueError(f"saw invalid JSON ({error.msg} at column {error.colno}{hint})") from None
    except ValueError:  # an integer of thousands of digits
        raise ValueError("saw a number too long to read") from None


def _read_jsonl(path: Path, faults: Faults, limits: Limits) -> Iterator[Numbered]:
    for number, line in read_lines(path, faults, limits):
        if not line.strip():
            continue
        try:
            row = load_json(line, limits.nesting)
        except RepeatedKey as error:
            faults.add_row("repeated_key", f"{error}, wanted each once", number)
            continue
        except ValueError as error:
            faults.add(f"{error}, wanted one flat object per line", number)
            continue
        if not isinstance(row, dict):
            faults.add(f"saw a JSON {type(row).__name__}, wanted one object per line", number)
        elif len(row) > limits.columns:
            faults.add(f"saw {len(row)} columns, wanted at most {limits.columns}", number)
        else:
            yield number, row


def _too_deep(line: str, limit: int) -> bool:
    """True if brackets outside strings nest deeper than `limit`; the counts alone clear nearly every line."""
    if line.count("{") + line.count("[") <= limit:
        return False
    depth, in_string, escaped = 0, False, False
    for char in line:
        if in_string:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                in_string = False
        elif char == '"':
            in_string = True
        elif char in "{[":
            depth += 1
            if depth > limit:
                return True
        elif char in "}]":
            depth -= 1
    return False


def _read_csv(path: Path, delimiter: str, faults: Faults, limits: Limits) -> Iterator[Numbered]:
    last = ""

    def lines() -> Iterator[str]:
        nonlocal last
        for _, last in read_lines(path, faults, limits):
            yield last

    read = lines()
    first = next(read, "")
    if other := other_separator(first, delimiter, path.name):
        faults.add(other, 1)
        return
    reader = csv.reader(itertools.chain([first] if first else [], read), delimiter=delimiter, strict=True)
    start = 1
    held: Numbered | None = None
    header: list[str] | None = None
    closed_in: dict[str, None] = {}  # values of the last column, to tell whether the last row was cut
    try:
        header = next(reader, None)
        if header is None or not _good_header(header, faults, limits):
            return
        start = reader.line_num + 1
        for values in reader:
            if held is not None:
                yield held
                held = None
            if values and len(values) != len(header):
                faults.add(f"saw {len(values)} fields, wanted {len(header)} as in the header", start)
            elif values and values[0] in header and sorted(values) == sorted(header):
                _add_header_again(values == header, start, faults)
            elif values:
                held = start, dict(zip(header, values, strict=True))
                if last.endswith(("\n", "\r")) and len(closed_in) < limits.row_faults:
                    closed_in[values[-1]] = None
            start = reader.line_num + 1
    except csv.Error as error:
        faults.add(f"{_csv_fault(str(error), start, reader.line_num)}; stopped reading here", reader.line_num)
    if held is not None and header is not None:
        value = str(held[1][header[-1]])
        if last.endswith(("\n", "\r", '"')) or value in closed_in:
            yield held
        else:
            seen = f"saw the file end inside a value of {short_names(header[-1:])}: it may be cut there"
            faults.add(f"{seen}; wanted a line end after the last row", held[0])


def _add_header_again(same: bool, line: int, faults: Faults) -> None:
    if same:
        faults.add_row("repeated_header", "saw the header again, wanted a row (were files joined?)", line)
    else:
        faults.add("saw a second header in another order, wanted one per file (were files joined?)", line)


def _csv_fault(message: str, start: int, line: int) -> str:
    if "new-line character" in message:
        return "saw a CR inside a line, wanted lines that end with LF (tr '\\r' '\\n')"
    if "field larger" in message or "unexpected end" in message:
        return f"saw a field opened in line {start} that is not closed by line {line}, wanted balanced quotes"
    return f"saw broken CSV ({message})"


def _good_header(header: list[str], faults: Faults, limits: Limits) -> bool:
    if header and header[0].lstrip().startswith(("{", "[")):
        faults.add("saw JSON, wanted CSV with a header; rename the file to .jsonl", 1)
        return False
    if len(header) > limits.columns:
        faults.add(f"saw {len(header)} columns, wanted at most {limits.columns}", 1)
        return False
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        faults.add(f"saw the columns {short_names(twice)} twice, wanted each once", 1)
    return not twice


def _read_conversations(path: Path, column: str, faults: Faults, limits: Limits) -> Iterator[Numbered]:
    """Blocks of `### Human:` and `### Assistant:` turns. A blank line and a Human or System turn begin the next block; any
    other blank line belongs to the turn it stands in."""
    block: list[str] = []
    start, size, after_blank = 1, 0, True
    for number, line in read_lines(path, faults, limits):
        if after_blank and block and _CONVERSATION.match(line):
            yield start, {column: "".join(block)}
            block, size = [], 0
        after_blank = not line.strip()
        if after_blank and not block:
            continue
        if not block:
            start = number
        size += len(line)
        if size > limits.line_bytes:
            faults.add(f"saw a conversation over {limits.line_bytes:,} characters; stopped reading here", start)
            return
        block.append(line)
    if block:
        yield start, {column: "".join(block)}


__all__ = [
    "PACKED",
    "SUFFIXES",
    "Faults",
    "Limits",
    "Numbered",
    "RepeatedKey",
    "RowFault",
    "kind_of",
    "load_json",
    "read_rows",
    "short_names",
]
