"""What may be wrong with a data file: faults of the file, which refuse it, and malformed rows, which can be set aside.

A file fault breaks the framing: nobody can tell where the next row starts, or what it held (bytes that are not UTF-8, invalid
JSON, a field too many, a cut archive). A row fault leaves the framing whole: this row does not say what it should (a list where
text belongs, turns in the wrong order), all others do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

_MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a data file may cost. Larger sets go into several files."""

    file_bytes: int = 4 << 30
    """As stored, and after unpacking."""
    line_bytes: int = _MIB
    """One line of text, or one Parquet value."""
    rows: int = 2_000_000
    """Rows of all files together: they are held in memory."""
    columns: int = 256
    nesting: int = 32
    """Depth of one JSON row."""
    blank_lines: int = 10_000
    """Lines without text between two rows."""
    row_faults: int = 100_000
    """Malformed rows of one file that are kept account of one by one."""
    parquet_ratio: int = 100
    """Bytes of values per byte of Parquet file, once they pass 64 MiB: a bomb unpacks to far more."""
    gzip_ratio: int = 100
    """Bytes of text per byte of gzip file, once they pass 16 MiB. Text packs 3 to 20 times; a bomb 1,000 times."""


@dataclass(frozen=True)
class RowFault:
    """A malformed row that was left out. Holds no row text."""

    id: str
    """The row's own id, or its place: `FILE:N` as ids of rows without one, or `FILE line N`."""
    line: int
    reason: str
    """One word for counting: bad_value, malformed_conversation, repeated_header, repeated_key, swapped_columns."""
    detail: str
    """What was seen and what was wanted."""


@dataclass
class Faults:
    """What is wrong with one file; the first few in full, the rest counted. Never holds row text."""

    file: str
    shown: int = 20
    lines: list[str] = field(default_factory=list)
    """The first file faults."""
    num_file_faults: int = 0
    rows: list[RowFault] = field(default_factory=list)
    """Malformed rows, which are left out of what was read."""
    num_unread: int = 0
    """Malformed rows among them that never became a row with a place: a header in the middle, a key twice."""
    format: str | None = None
    """The format that the file was read as; None: it could not be told, or there was no row."""

    @property
    def count(self) -> int:
        """File faults and malformed rows."""
        return self.num_file_faults + len(self.rows)

    def add(self, text: str, line: int | None = None) -> None:
        self.num_file_faults += 1
        if len(self.lines) < self.shown:
            self.lines.append(f"{self.file}{f' line {line}' if line else ''}: {text}")

    def add_row(self, reason: str, detail: str, line: int, row_id: str | None = None) -> None:
        self.num_unread += row_id is None
        self.rows.append(RowFault(row_id or f"{self.file} line {line}", line, reason, detail))

    def report(self) -> list[str]:
        """All faults: for callers that refuse a file for a single malformed row."""
        rows = [f"{self.file} line {row.line}: {row.detail}" for row in self.rows[: self.shown - len(self.lines)]]
        return self._with_rest([*self.lines, *rows], self.count)

    def file_report(self) -> list[str]:
        """File faults alone: for callers that set `rows` aside."""
        return self._with_rest(self.lines, self.num_file_faults)

    def _with_rest(self, lines: Sequence[str], count: int) -> list[str]:
        more = count - len(lines)
        return [*lines, f"{self.file}: and {more} more faults"] if more else list(lines)


# Endings of data files: an id of somebody's own may hold a colon, too.
_PLACE = re.compile(r"(.+\.(?:csv|tsv|jsonl|ndjson|txt|parquet)(?:\.gz)?):(\d+)")


def spoken_ids(row_ids: Sequence[str], limit: int = 3) -> str:
    """The first few ids for a message: "ids t1, t2 and 5 more", or "rows 70, 71 of train.csv" for places in one file."""
    shown = list(row_ids[:limit])
    more = f" and {len(row_ids) - len(shown)} more" if len(row_ids) > len(shown) else ""
    places = [_PLACE.fullmatch(row_id) for row_id in shown]
    files = {place[1] if place else None for place in places}
    if len(files) == 1 and None not in files:
        numbers = ", ".join(str(place[2]) for place in places if place)
        return f"{'rows' if len(row_ids) > 1 else 'row'} {numbers}{more} of {files.pop()}"
    return f"{'ids' if len(row_ids) > 1 else 'id'} {', '.join(map(_short, map(spoken_id, shown)))}{more}"


def _short(name: str, limit: int = 40) -> str:
    return name if len(name) <= limit else f"{name[: limit - 1]}…"


def spoken_id(row_id: str) -> str:
    """An id for a message: `train.csv:70` is no line but a place, and is told as "row 70 of train.csv"."""
    place = _PLACE.fullmatch(row_id)
    return f"row {place[2]} of {place[1]}" if place else row_id


def short_names(names: Iterable[str], limit: int = 12) -> str:
    """Column or file names for a message. What is too long for a name is row text in the wrong place (a file without a header,
    say): it is not shown."""
    listed = list(names)
    shown = ", ".join(repr(name) if _is_name(name) else f"a text of {len(name)} characters" for name in listed[:limit])
    return shown + (f" and {len(listed) - limit} more" if len(listed) > limit else "") or "none"


def _is_name(text: str) -> bool:
    return len(text) <= 40 and len(text.split()) <= 4
