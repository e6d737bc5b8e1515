"""From files to rows in canonical columns, split, with every fault of every file in one refusal.

A row is a dict with `id`, `text` and `label` always there (text and label None where the file has no value) and `group`,
`timestamp`, `source` where the file has one. All values are strings.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ftcore.data.formats import Faults, Limits, read_rows, short_names
from ftcore.data.splitting import SPLITS, split_rows
from ftcore.errors import DataRefused, DataUnavailable, IntegrityError, UsageError
from ftcore.records import canonical_json
from ftcore.spec import ColumnsSpec, DataSpec, Split
from ftcore.store import write_durable

Row = dict[str, Any]
REQUIRED = ("text", "label")
_WILDCARD = re.compile(r"[*?\[]")
OPTIONAL = ("group", "timestamp", "source")


def read_splits(folder: Path, data: DataSpec, limits: Limits = Limits()) -> dict[Split, list[Row]]:
    """Read the files that `data.files` names and split the rows; file order, then row order, is kept.

    Args:
        folder: The pulled data version.
        data: Section of the spec: files, columns, fractions.

    Returns:
        Rows of train, validation and test; a split may be empty (judging that is validation's work).

    Raises:
        DataUnavailable: A pattern matches no file.
        DataRefused: Files are broken, hostile or lack a column; every fault is listed with file and line.
        UsageError: A pattern leaves the folder, or a file matches two splits.
    """
    parts: dict[str, list[Row]] = {}
    faults: list[str] = []
    room = limits.rows
    for part, paths in _find_files(folder, data).items():
        parts[part] = []
        for path in paths:
            rows, file_faults = read_file(
                path, data.columns, limits, name=path.relative_to(folder).as_posix(), max_rows=room
            )
            room -= len(rows)
            parts[part] += rows
            faults += file_faults.report()
    raise_faults(faults)
    return split_rows(parts, data)


def read_file(
    path: Path, columns: ColumnsSpec, limits: Limits = Limits(), *, name: str = "", max_rows: int | None = None,
    required: Sequence[str] = REQUIRED,
) -> tuple[list[Row], Faults]:  # fmt: skip
    """The rows of one file in canonical columns, and what is wrong with it.

    Args:
        name: What to call the file in faults and in ids made from positions; default its name.
        max_rows: Rows still allowed.
        required: Canonical columns that the file must have.
    """
    faults = Faults(name or path.name)
    mapping = columns.model_dump()
    seen: dict[str, None] = {}
    rows: list[Row] = []
    room = limits.rows if max_rows is None else max_rows
    for line, raw in read_rows(path, mapping.values(), faults, limits):
        if len(rows) >= room:
            faults.add(f"saw more than {limits.rows:,} rows in all, wanted at most that; stopped reading here", line)
            break
        if len(seen) <= limits.columns:
            seen.update(dict.fromkeys(raw))
        rows.append(_canonical(raw, mapping, f"{faults.file}:{len(rows)}", line, faults))
    missing = [part for part in required if mapping[part] not in seen] if rows else []
    for part in missing:
        wanted = f"wanted {mapping[part]!r}; map it with `data.columns.{part}: NAME`"
        faults.add(f"no column for {part}: saw the columns {short_names(seen)}, {wanted}")
    return rows, faults


def raise_faults(faults: Sequence[str]) -> None:
    """Refuse the data set if there are faults.

    Raises:
        DataRefused: With one line per fault.
    """
    if faults:
        count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
        hint = "correct the files, then make them a new data version (dvc add, git commit, dvc push)"
        raise DataRefused(f"The data files have {count}; nothing was read from them:", details=faults, hint=hint)


def _canonical(raw: Mapping[str, Any], mapping: Mapping[str, str], position: str, line: int, faults: Faults) -> Row:
    row: Row = {"id": position, "text": None, "label": None}
    for part, column in mapping.items():
        value = raw.get(column)
        if value is None:
            continue
        plain = _plain(value) if part != "text" or isinstance(value, str) else None
        if plain is None:
            faults.add(f"saw a {type(value).__name__} in column {column!r}, wanted text", line)
        elif part == "text" or plain.strip():
            row[part] = plain if part == "text" else plain.strip()
    return row


def _plain(value: Any) -> str | None:
    """A scalar as text, None for anything else. A float that is whole is an integer that met a null column (3.0 is 3)."""
    if isinstance(value, str):
        # A lone surrogate ("\\ud800" in JSON) cannot be written as UTF-8; it becomes U+FFFD, which prepare quarantines.
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat()
    return None


def _find_files(folder: Path, data: DataSpec) -> dict[str, list[Path]]:
    """Sorted files per split (or `any`)."""
    there = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in there]
    found: dict[str, list[Path]] = {}
    owner: dict[Path, str] = {}
    for part, patterns in data.files.items():
        found[part] = []
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            if PurePosixPath(pattern).is_absolute() or ".." in PurePosixPath(pattern).parts:
                raise UsageError(f"data.files.{part}: {pattern!r} leaves the data folder; wanted a path inside it.")
            matches = [path for path, name in zip(there, names, strict=True) if _matches(name, pattern)]
            if not matches and not _WILDCARD.search(pattern):
                raise _no_file(pattern, part, names)
            for path in matches:
                if owner.setdefault(path, part) != part:
                    message = f"{path.name} matches data.files.{owner[path]} and data.files.{part}; wanted one split per file."
                    raise UsageError(message)
                if path not in found[part]:
                    found[part].append(path)
        if not found[part]:  # one wildcard may match nothing yet (feedback to come), but not all of them
            raise _no_file(", ".join([patterns] if isinstance(patterns, str) else patterns), part, names)
    return found


def _no_file(pattern: str, part: str, names: Sequence[str]) -> DataUnavailable:
    message = f"No file matches {pattern!r} (data.files.{part}); the data version holds: {short_names(names)}."
    return DataUnavailable(message, hint=f"correct data.files.{part}, or add the file (dvc add, git commit, dvc push)")


def _matches(name: str, pattern: str) -> bool:
    """Pattern against a path inside the folder: `*.jsonl` means the top folder only, `sub/*.jsonl` that folder."""
    path, wanted = PurePosixPath(name), PurePosixPath(pattern)
    return len(path.parts) == len(wanted.parts) and path.match(pattern)


def read_jsonl(path: Path) -> list[Row]:
    """Rows of a file that ftcore wrote itself.

    Raises:
        IntegrityError: It is missing or not JSONL.
    """
    try:
        with path.open(encoding="utf-8") as file:
            return [json.loads(line) for line in file]
    except (OSError, ValueError) as error:
        raise IntegrityError(f"Cannot read {path}: {error}.", hint="ftcore run SPEC makes it again") from error


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """One canonical JSON object per line: equal rows give equal bytes."""
    write_durable(path, "".join(canonical_json(dict(row)) + "\n" for row in rows))


__all__ = [
    "OPTIONAL",
    "REQUIRED",
    "SPLITS",
    "Row",
    "raise_faults",
    "read_file",
    "read_jsonl",
    "read_splits",
    "write_jsonl",
]
