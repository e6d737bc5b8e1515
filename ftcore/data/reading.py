"""From files to rows in canonical columns, split, with every fault of every file in one refusal.

A row is a dict with `id` always there and `group`, `timestamp`, `source` where the file has one. Classification rows have
`text` and `label` (None where the file has no value), generation rows `text`, `completion` and `messages` (see
`ftcore.data.conversations`). All values but messages are strings.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ftcore.data.canonical import OPTIONAL, REQUIRED, Row, canonical_row, leave_out_swapped
from ftcore.data.conversations import COLUMNS, READERS, detect_formats
from ftcore.data.faults import spoken_id
from ftcore.data.formats import Faults, Limits, Numbered, RowFault, read_rows, short_names
from ftcore.data.splitting import SPLITS, split_rows
from ftcore.errors import DataMissing, DataRefused, IntegrityError, UsageError, num_of
from ftcore.records import canonical_json
from ftcore.spec import ColumnsSpec, DataFormat, DataSpec, Split, Task
from ftcore.store import write_durable

_WILDCARD = re.compile(r"[*?\[]")
GENERATION_FORMATS = tuple(READERS)
ALL_FORMATS = tuple(COLUMNS)
_SAMPLE = 20
"""Rows by which a format is told."""


def formats_of(task: Task, wanted: DataFormat = "auto") -> tuple[str, ...]:
    """The formats that files of a task may be in; the one that is wanted, if it is named."""
    if wanted != "auto":
        return (wanted,)
    return ("classification",) if task == "classification" else GENERATION_FORMATS


def read_splits(
    folder: Path,
    data: DataSpec,
    limits: Limits = Limits(),
    *,
    task: Task = "classification",
    set_aside: list[RowFault] | None = None,
) -> dict[Split, list[Row]]:
    """Read the files that `data.files` names and split the rows; file order, then row order, is kept.

    Args:
        folder: The pulled data version.
        data: Section of the spec: files, format, columns, fractions.
        task: Says which formats `data.format: auto` chooses from.
        set_aside: Takes the malformed rows; without it one of them refuses the set, like any fault of a file.

    Returns:
        Rows of train, validation and test; a split may be empty (judging that is validation's work).

    Raises:
        DataMissing: A pattern matches no file.
        DataRefused: Files are broken, hostile or lack a column; every fault is listed with file and line.
        UsageError: A pattern leaves the folder, or a file matches two splits.
    """
    parts: dict[str, list[Row]] = {}
    faults: list[str] = []
    room = limits.rows
    for part, paths in _find_files(folder, data).items():
        parts[part] = []
        for path in paths:
            name = path.relative_to(folder).as_posix()
            formats = formats_of(task, data.format)
            rows, found = read_file(path, data.columns, limits, name=name, max_rows=room, formats=formats)
            room -= len(rows)
            parts[part] += rows
            faults += found.report() if set_aside is None else found.file_report()
            if set_aside is not None:
                set_aside += found.rows
    raise_faults(faults)
    return split_rows(parts, data)


def read_file(
    path: Path, columns: ColumnsSpec, limits: Limits = Limits(), *, name: str = "", max_rows: int | None = None,
    required: Sequence[str] = REQUIRED, formats: Sequence[str] = ("classification",),
) -> tuple[list[Row], Faults]:  # fmt: skip
    """The rows of one file in canonical columns, and what is wrong with it (`Faults.rows`: malformed rows, left out).

    Args:
        name: What to call the file in faults and in ids made from positions; default its name.
        max_rows: Rows still allowed.
        required: Canonical columns that a file of classification rows must have.
        formats: What the file may be: one is taken as given, among several its columns decide (`Faults.format` says which).
            ALL_FORMATS for a file of which nothing is known.
    """
    faults = Faults(name or path.name)
    mapping = columns.model_dump()
    placed = _placed(read_rows(path, mapping.values(), faults, limits, text_column=mapping["text"]), faults)
    head = list(itertools.islice(placed, _SAMPLE))
    faults.format = _choose_format([raw for *_, raw in head], mapping, formats, faults)
    if faults.format is None:
        return [], faults
    needed = required if faults.format == "classification" else COLUMNS[faults.format][0]
    seen: dict[str, None] = {}
    rows: list[Row] = []
    lines: list[int] = []
    room = limits.rows if max_rows is None else max_rows
    for number, line, raw in itertools.chain(head, placed):
        if len(rows) >= room:
            faults.add(f"saw more than {limits.rows:,} rows in all, wanted at most that; stopped reading here", line)
            break
        if len(faults.rows) > limits.row_faults:
            faults.add(f"saw more than {limits.row_faults:,} malformed rows; stopped reading here", line)
            break
        if len(seen) <= limits.columns:
            seen.update(dict.fromkeys(raw))
        row = canonical_row(raw, mapping, faults.format, f"{faults.file}:{number}", line, faults, limits)
        if row is not None:
            rows.append(row)
            lines.append(line)
    missing = [part for part in needed if mapping[part] not in seen] if seen else []
    for part in missing:
        wanted = f"wanted {mapping[part]!r}; map it with `data.columns.{part}: NAME`"
        faults.add(f"no column for {part}: saw the columns {short_names(seen)}, {wanted}")
    if missing:
        faults.rows.clear()  # each row lacks the column: said once
    elif faults.format == "classification":
        rows = leave_out_swapped(rows, lines, faults)
    return rows, faults


def _placed(rows: Iterable[Numbered], faults: Faults) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Rows with their places in the file (data rows from 0; malformed ones that the readers left out count, too) and lines."""
    for number, (line, raw) in enumerate(rows):
        yield number + faults.num_unread, line, raw


def malformed_faults(malformed: Sequence[RowFault], num_rows: int, max_quarantined: float) -> list[str]:
    """A reason to refuse if more rows are malformed than may be set aside, with the first three of them.

    Args:
        malformed: What `read_splits` set aside.
        num_rows: Rows that were read.
        max_quarantined: `validation.max_quarantined`.
    """
    total = num_rows + len(malformed)
    if len(malformed) <= max_quarantined * total:
        return []
    shown = "; ".join(f"{spoken_id(fault.id)}: {fault.detail}" for fault in malformed[:3])
    wanted = f"wanted at most {max_quarantined:.2%} (validation.max_quarantined)"
    return [f"{len(malformed)} of {total} rows ({len(malformed) / total:.2%}) are malformed, {wanted}: {shown}"]


def _choose_format(
    head: Sequence[Mapping[str, Any]], mapping: Mapping[str, str], formats: Sequence[str], faults: Faults
) -> str | None:
    """The one format that fits; none or several are a fault of the file."""
    if len(formats) == 1:
        return formats[0]
    if not head:
        return None
    columns = list(dict.fromkeys(column for raw in head for column in raw))
    fits = detect_formats(columns, head, mapping, formats)
    if len(fits) == 1:
        return fits[0]
    wanted = "; ".join(f"{name}: {', '.join(repr(mapping[part]) for part in COLUMNS[name][0])}" for name in formats)
    if fits:
        faults.add(
            f"saw the columns {short_names(columns)}, which fit {' and '.join(fits)}; set data.format to one of them"
        )
    else:
        faults.add(
            f"saw the columns {short_names(columns)}, wanted those of a format ({wanted}); map them with data.columns"
        )
    return None


def raise_faults(faults: Sequence[str]) -> None:
    """Refuse the data set if there are faults.

    Raises:
        DataRefused: With one line per fault.
    """
    if faults:
        count = num_of(len(faults), "fault")
        hint = "correct the files, then make them a new data version (dvc add, git commit, dvc push)"
        raise DataRefused(f"The data files have {count}; nothing was read from them:", details=faults, hint=hint)


def _find_files(folder: Path, data: DataSpec) -> dict[str, list[Path]]:
    """Sorted files per split (or `any`)."""
    names = _names(folder)
    found: dict[str, list[Path]] = {}
    owner: dict[Path, str] = {}
    for part, patterns in data.files.items():
        found[part] = []
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            matches = _matching(pattern, names, f"data.files.{part}")
            if not matches and not _WILDCARD.search(pattern):
                raise _no_file(pattern, f"data.files.{part}", names)
            for path in matches:
                if owner.setdefault(path, part) != part:
                    message = f"{path.name} matches data.files.{owner[path]} and data.files.{part}; wanted one split per file."
                    raise UsageError(message)
                if path not in found[part]:
                    found[part].append(path)
        if not found[part]:  # one wildcard may match nothing yet (feedback to come), but not all of them
            raise _no_file(
                ", ".join([patterns] if isinstance(patterns, str) else patterns), f"data.files.{part}", names
            )
    return found


def find_extra_files(
    folder: Path, data: DataSpec, patterns: Sequence[str], field: str, *, to_come: bool = False
) -> list[Path]:
    """Sorted files that a field of the spec other than `data.files` names.

    Args:
        to_come: A wildcard may match nothing yet: production writes the files.

    Raises:
        DataMissing: A pattern matches no file.
        UsageError: A pattern leaves the folder, or `data.files` reads a file of it, too.
    """
    names = _names(folder)
    taken = [item for files in data.files.values() for item in ([files] if isinstance(files, str) else files)]
    found: list[Path] = []
    for pattern in patterns:
        matches = _matching(pattern, names, field)
        if not matches and not (to_come and _WILDCARD.search(pattern)):
            raise _no_file(pattern, field, names)
        for path in matches:
            if any(_matches(names[path], other) for other in taken):
                message = f"{names[path]} matches {field} and data.files, whose rows are trained on as they are."
                raise UsageError(message, hint="put it into a folder of its own, which *.jsonl does not reach")
        found += [path for path in matches if path not in found]
    return found


def _names(folder: Path) -> dict[Path, str]:
    """Every file below a folder in order, and its path inside it."""
    return {path: path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()}


def _matching(pattern: str, names: Mapping[Path, str], field: str) -> list[Path]:
    """Files that a pattern of a field of the spec names.

    Raises:
        UsageError: The pattern leaves the folder.
    """
    if PurePosixPath(pattern).is_absolute() or ".." in PurePosixPath(pattern).parts:
        raise UsageError(f"{field}: {pattern!r} leaves the data folder; wanted a path inside it.")
    return [path for path, name in names.items() if _matches(name, pattern)]


def _no_file(pattern: str, field: str, names: Mapping[Path, str]) -> DataMissing:
    message = f"No file matches {pattern!r} ({field}); the data version holds: {short_names(names.values())}."
    return DataMissing(message, hint=f"correct {field}, or add the file (dvc add, git commit, dvc push)")


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
    "ALL_FORMATS",
    "GENERATION_FORMATS",
    "OPTIONAL",
    "REQUIRED",
    "SPLITS",
    "Row",
    "find_extra_files",
    "formats_of",
    "malformed_faults",
    "raise_faults",
    "read_file",
    "read_jsonl",
    "read_splits",
    "write_jsonl",
]
