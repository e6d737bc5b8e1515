"""What a file is at heart, where its ending says otherwise: told from its first bytes, so that one line names the mistake.

Without it a picture named .csv gives a fault for every line that is not UTF-8, and a JSON array one for every line of it.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import re
import shlex
import zlib
from pathlib import Path

from ftcore.data.streams import wide_encoding

_HEAD = 4096
_MAGIC = (
    (b"PAR1", "a Parquet file", "rename it to {stem}.parquet"),
    (b"\x1f\x8b", "a gzip file", "rename it to {name}.gz"),
    (b"PK\x03\x04", "a zip archive or an Excel file", "unpack it, or save the sheet as CSV"),
    (b"\x89PNG", "a PNG picture", ""),
    (b"\xff\xd8\xff", "a JPEG picture", ""),
    (b"GIF8", "a GIF picture", ""),
    (b"%PDF-", "a PDF document", ""),
    (b"SQLite format 3", "an SQLite database", "export the table as CSV"),
    (b"ARROW1", "an Arrow file", "write it as Parquet"),
)
# Controls that text does not hold: all but tab, line ends, form feed and escape (terminal colours).
_CONTROLS = frozenset(range(0x20)) - {0x09, 0x0A, 0x0C, 0x0D, 0x1B}
_FEW_CONTROLS, _CONTROL_SHARE = 8, 0.05
_ARRAY = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[\s*(?:\{|$)")
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}


def other_kind(path: Path, kind: str | None) -> str | None:
    """A fault, with what to type, of a file that is no text at all or one JSON array; None: nothing of that kind is seen.

    Args:
        path: The file; one that cannot be opened or unpacked is left to the readers.
        kind: Its ending without `.gz`, as far as it is known: a Parquet file is looked at by pyarrow alone.
    """
    head = b"" if kind == ".parquet" else _first_bytes(path)
    stem = path.name.partition(".")[0]
    for magic, name, advice in _MAGIC:
        if head.startswith(magic):
            told = advice.format(stem=stem, name=path.name)
            return f"saw {name}, wanted text rows or Parquet{told and f'; {told}'}"
    if _is_binary(head):
        return "saw a binary file, wanted UTF-8 text"
    if kind in (None, ".jsonl", ".ndjson") and _ARRAY.match(head):
        packed = path.suffix == ".gz"
        target = f"{stem}.jsonl" if path.name != f"{stem}.jsonl" else f"{stem}-rows.jsonl"
        read = f"zcat {shlex.quote(path.name)} | jq -c '.[]'" if packed else f"jq -c '.[]' {shlex.quote(path.name)}"
        return f"saw one JSON array, wanted one object per line; {read} > {shlex.quote(target)}"
    return None


def other_separator(header: str, delimiter: str, name: str) -> str | None:
    """A fault, with what to type, of a CSV header whose columns are separated by something else; None: they are not.

    Args:
        header: First line of the file.
        delimiter: The separator that its ending asks for.
        name: The file's name, for what to type.
    """
    if header.lstrip().startswith(("{", "[")) or _num_fields(header, delimiter) != 1:
        return None
    seen = max(_SEPARATORS, key=lambda separator: _num_fields(header, separator))
    if seen == delimiter or _num_fields(header, seen) < 2:
        return None
    stem = name.partition(".")[0]
    told = f"saw {_SEPARATORS[seen]} between columns, wanted {_SEPARATORS[delimiter]}"
    if seen in "\t,":  # an ending says so
        return f"{told}; rename the file to {stem}{'.tsv' if seen != ',' else '.csv'}"
    code = f"import csv, sys; csv.writer(sys.stdout).writerows(csv.reader(sys.stdin, delimiter={seen!r}))"
    return f'{told}; python3 -c "{code}" < {shlex.quote(name)} > {shlex.quote(f"{stem}-commas.csv")}'


def _num_fields(line: str, separator: str) -> int:
    try:
        return len(next(csv.reader([line], delimiter=separator), []))
    except csv.Error:  # a CR inside the line, a field too large: the readers say which
        return 0


def _is_binary(head: bytes) -> bool:
    """True for bytes that are not UTF-8 and hold many controls: 8-bit text holds none, and UTF-16 the readers name."""
    num_controls = sum(byte in _CONTROLS for byte in head)
    if num_controls < _FEW_CONTROLS or num_controls <= _CONTROL_SHARE * len(head):
        return False
    if wide_encoding(head):
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # a letter may be cut at the end
    except UnicodeDecodeError:
        return True
    return False


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
        if path.suffix == ".gz" and head.startswith(b"\x1f\x8b"):
            with gzip.open(path) as unpacked:
                return unpacked.read(_HEAD)
    except (OSError, EOFError, zlib.error):
        return b""
    return b"" if path.suffix == ".gz" else head
