"""A train and a test file without a spec around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ftcore.data.canonical import REQUIRED, Row, plain_text
from ftcore.data.faults import Faults, Limits, RowFault, short_names
from ftcore.data.formats import read_rows
from ftcore.data.reading import GENERATION_FORMATS, raise_faults, read_file
from ftcore.errors import DataRefused, UsageError
from ftcore.spec import ColumnsSpec

_PARTS_OF_A_ROW = ("id", "text", "label", "group", "timestamp", "source")
# What a message about a spec says, and what somebody without a spec can type.
_WORDS = {
    "map it with `data.columns.": "name it with `--",
    ": NAME`": "-field NAME`",
    "; map them with data.columns": "; name them with --text-field and --label-field",
    "; set data.format to one of them": "; say which with --format",
}


@dataclass(frozen=True)
class TwoFiles:
    """Rows in canonical columns."""

    train: list[Row]
    test: list[Row]
    format: str
    """classification, messages, prompt_completion, alpaca, sharegpt or turns."""
    malformed: list[RowFault]
    """Rows left out because they do not say what they should."""
    num_malformed_train: int
    """How many of them are in the train file."""


def columns_named(names: Mapping[str, str | None]) -> ColumnsSpec:
    """Columns of labelled rows by the names somebody gave them; conversations keep the names of their formats.

    A part without a name is not read by accident: it gets one that no file has. So rows go by their place unless an id
    is named; ids of two files that nobody made for each other would collide.
    """
    return ColumnsSpec(
        **(ColumnsSpec().model_dump() | {part: names.get(part) or f"\0{part}" for part in _PARTS_OF_A_ROW})
    )


def read_two(
    train: str, test: str, columns: ColumnsSpec, formats: Sequence[str], required: Sequence[str] = REQUIRED
) -> TwoFiles:
    """Read both files; where the columns of labelled rows are missing, conversations are looked for.

    Args:
        columns: Names that the files have.
        formats: What the files may be; both must be the same.
        required: Canonical columns that files of classification rows must have.

    Raises:
        UsageError: A file is missing.
        DataRefused: Files are broken, empty, of no known format or of different ones; every fault is listed.
    """
    both: list[list[Row]] = []
    seen: list[Faults] = []
    paths = (Path(train), Path(test))
    alike = paths[0].name == paths[1].name
    for path in paths:
        if not path.is_file():
            raise UsageError(f"No file at {path}; wanted CSV, JSONL, Parquet or text rows.", hint=f"ls {path.parent}")
        rows, faults = _read(path, str(path) if alike else path.name, columns, formats, required)
        if not rows and not faults.count:
            faults.add("saw 0 rows, wanted at least 1")
        both.append(rows)
        seen.append(faults)
    lines = [_in_flags(line) for faults in seen for line in faults.file_report()]
    kinds = [faults.format for faults in seen]
    if not lines and kinds[0] != kinds[1]:
        lines.append(f"saw {train} as {kinds[0]} and {test} as {kinds[1]}, wanted both the same")
    try:
        raise_faults(lines)
    except DataRefused as error:
        columns_at_fault = any("--" in line and "-field" in line for line in lines)
        hint = "name the columns of your files: see --help" if columns_at_fault else "correct the files and try again"
        raise DataRefused(error.message, details=error.details, hint=hint) from None
    malformed = [fault for faults in seen for fault in faults.rows]
    return TwoFiles(both[0], both[1], str(kinds[0]), malformed, len(seen[0].rows))


def read_columns(path: str, names: Sequence[str], rows: Sequence[Row]) -> list[dict[str, str | None]]:
    """Further columns of rows that `read_two` has read and named by their place, as text; None where a row has no plain value.

    Args:
        path: The file that the rows came from.
        names: Columns as the file calls them.
        rows: Canonical rows of that file.

    Raises:
        UsageError: The file lacks a column; all that are missing are named.
    """
    wanted = {int(row["id"].rpartition(":")[2]) for row in rows}
    found: dict[int, dict[str, str | None]] = {}
    seen: dict[str, None] = {}
    for number, (_, raw) in enumerate(read_rows(Path(path), names, Faults(path), Limits())):
        seen.update(dict.fromkeys(raw))
        if number in wanted:
            found[number] = {name: None if raw.get(name) is None else plain_text(raw[name]) for name in names}
    if missing := [name for name in names if name not in seen]:
        message = f"{path}: no column {short_names(missing)}; saw the columns {short_names(seen)}."
        raise UsageError(message, hint="names are told apart by case")
    return [found[int(row["id"].rpartition(":")[2])] for row in rows]


def _read(
    path: Path, name: str, columns: ColumnsSpec, formats: Sequence[str], required: Sequence[str]
) -> tuple[list[Row], Faults]:
    rows, faults = read_file(path, columns, required=required, name=name, formats=formats)
    if tuple(formats) == ("classification",) and any("no column for text" in line for line in faults.lines):
        others, again = read_file(path, columns, name=name, formats=GENERATION_FORMATS)
        if again.format is not None and not again.num_file_faults:
            return others, again
    return rows, faults


def _in_flags(line: str) -> str:
    for said, typed in _WORDS.items():
        line = line.replace(said, typed)
    return line
