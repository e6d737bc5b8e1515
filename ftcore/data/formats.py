"""Bounded readers of CSV, JSONL and Parquet: hostile or broken files cost little and are refused with every fault named.

The `datasets` library is not used to parse: it guesses types by block (the label "NA" becomes null, "007" becomes 7, ISO dates
become timestamps), stops at the first fault, cannot name its line, and reads a line of any length into memory. Here values
stay what the file says, reading streams, and one pass lists the faults. Parquet goes through pyarrow in small batches.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_MIB = 1 << 20
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a data file may cost. Larger sets go into several files."""

    file_bytes: int = 4 << 30
    line_bytes: int = _MIB
    """One line of text, or one Parquet value."""
    rows: int = 2_000_000
    """Rows of all files together: they are held in memory."""
    columns: int = 256
    nesting: int = 32
    """Depth of one JSON row."""
    parquet_ratio: int = 100
    """Bytes of values per byte of Parquet file, once they pass 64 MiB: a bomb unpacks to far more."""


@dataclass
class Faults:
    """What is wrong with one file; the first few in full, the rest counted. Never holds row text."""

    file: str
    shown: int = 20
    lines: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, text: str, line: int | None = None) -> None:
        self.count += 1
        if len(self.lines) < self.shown:
            self.lines.append(f"{self.file}{f' line {line}' if line else ''}: {text}")

    def report(self) -> list[str]:
        more = self.count - len(self.lines)
        return [*self.lines, f"{self.file}: and {more} more faults"] if more else self.lines


Numbered = tuple[int, dict[str, Any]]
"""Line number (1-based; for Parquet the row) and the raw row by the file's own column names."""


def read_rows(path: Path, wanted: Iterable[str], faults: Faults, limits: Limits) -> Iterator[Numbered]:
    """Stream the rows of one file; faults go into `faults` and their rows are left out.

    Args:
        path: File with one of SUFFIXES.
        wanted: Column names worth reading; Parquet reads no others.
    """
    if path.suffix not in SUFFIXES:
        faults.add(f"saw the ending {path.suffix or '(none)'!r}, wanted one of {', '.join(SUFFIXES)}")
    elif path.stat().st_size > limits.file_bytes:
        faults.add(f"saw {path.stat().st_size:,} bytes, wanted at most {limits.file_bytes:,}; split the file")
    elif path.suffix == ".parquet":
        yield from _read_parquet(path, frozenset(wanted), faults, limits)
    elif path.suffix in (".csv", ".tsv"):
        yield from _read_csv(path, "\t" if path.suffix == ".tsv" else ",", faults, limits)
    else:
        yield from _read_jsonl(path, faults, limits)


def _read_lines(path: Path, faults: Faults, limits: Limits) -> Iterator[tuple[int, str]]:
    """Decoded lines with their numbers. A line over the limit ends the file: its rest is never read."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(limits.line_bytes + 1):
            number += 1
            if len(line) > limits.line_bytes:
                faults.add(
                    f"saw a line over {limits.line_bytes:,} bytes, wanted one row per line; stopped reading here",
                    number,
                )
                return
            if b"\0" in line:
                faults.add("saw a NUL byte, wanted UTF-8 text (UTF-16 or a binary file?)", number)
                continue
            try:
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                seen = f"saw the byte 0x{line[error.start]:02x} at position {error.start}"
                faults.add(f"{seen}, which is not UTF-8; wanted UTF-8 (iconv -t utf-8)", number)


def _read_jsonl(path: Path, faults: Faults, limits: Limits) -> Iterator[Numbered]:
    for number, line in _read_lines(path, faults, limits):
        if not line.strip():
            continue
        if _too_deep(line, limits.nesting):
            faults.add(f"saw JSON nested deeper than {limits.nesting}, wanted one flat object per line", number)
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            faults.add(f"saw invalid JSON ({error.msg} at column {error.colno}), wanted one object per line", number)
            continue
        except ValueError:  # an integer of thousands of digits
            faults.add("saw a number too long to read, wanted one object per line", number)
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
    lines = (line for _, line in _read_lines(path, faults, limits))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        header = next(reader, None)
        if header is None or not _good_header(header, faults, limits):
            return
        start = reader.line_num + 1
        for values in reader:
            if values and len(values) != len(header):
                faults.add(f"saw {len(values)} fields, wanted {len(header)} as in the header", start)
            elif values:
                yield start, dict(zip(header, values, strict=True))
            start = reader.line_num + 1
    except csv.Error as error:
        faults.add(f"saw broken CSV ({error}); stopped reading here", reader.line_num)


def _good_header(header: list[str], faults: Faults, limits: Limits) -> bool:
    if len(header) > limits.columns:
        faults.add(f"saw {len(header)} columns, wanted at most {limits.columns}", 1)
        return False
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        faults.add(f"saw the columns {short_names(twice)} twice, wanted each once", 1)
    return not twice


def _read_parquet(path: Path, wanted: frozenset[str], faults: Faults, limits: Limits) -> Iterator[Numbered]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    budget = max(64 * _MIB, path.stat().st_size * limits.parquet_ratio)
    number = num_bytes = 0
    try:
        with pq.ParquetFile(path) as file:
            names = [str(name) for name in file.schema_arrow.names]
            if file.metadata.num_rows > limits.rows or len(names) > limits.columns:
                seen = f"{file.metadata.num_rows:,} rows and {len(names)} columns"
                faults.add(f"saw {seen}, wanted at most {limits.rows:,} and {limits.columns}")
                return
            absent = dict.fromkeys(names)  # so that a missing column can be told from an unread one
            for batch in file.iter_batches(batch_size=256, columns=[name for name in names if name in wanted]):
                num_bytes += batch.nbytes
                if num_bytes > budget:
                    faults.add(
                        f"saw over {budget:,} bytes unpacked, wanted at most {limits.parquet_ratio} per byte of file"
                    )
                    return
                for row in batch.to_pylist():
                    number += 1
                    yield number, absent | row
    except (pa.ArrowException, OSError) as error:
        faults.add(f"cannot be read as Parquet ({type(error).__name__}); wanted a whole Parquet file", number or None)


def short_names(names: Iterable[str], limit: int = 12) -> str:
    """Column or file names for a message: cut to size, so that a hostile file cannot flood it."""
    listed = list(names)
    shown = ", ".join(repr(name if len(name) <= 40 else f"{name[:39]}…") for name in listed[:limit])
    return shown + (f" and {len(listed) - limit} more" if len(listed) > limit else "") or "none"
