"""Prediction files, CSV or JSON lines: read once, column by column, with every fault found before anything is compared."""

from __future__ import annotations

import csv
import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from ftcore.errors import UsageError
from ftcore.evaluation.rows import (
    Column,
)

REQUIRED = ("id", "target", "prediction")
LIKELIHOOD = ("nll", "num_target_tokens")
"""Columns of generated text that belong to the model: sum of -ln p over the target's tokens, and their number."""
_MAX_LINE_CHARS = 1 << 20
_SHOWN = 5
_NOT_A_LABEL = frozenset({"nan", "NaN", "NAN"})  # what a missing number looks like once it is text


@dataclass(frozen=True)
class PredictionFile:
    """One model's predictions, in the order of the file."""

    path: Path
    ids: list[str]
    columns: Mapping[str, Column]
    """`target`, `prediction`, and those of the optional columns that the file has."""
    faults: tuple[str, ...]


def read_predictions(
    path: Path, optional: Sequence[str] = ("slice", "group"), *, free_text: bool = False
) -> PredictionFile:
    """Read `.csv`, `.jsonl` or `.ndjson`; all values become text (1 and "1" are one label). Row numbers count from 0.

    Args:
        optional: Columns to read where the file has them.
        free_text: Predictions are generated text, which may be empty or spell "nan"; else they are labels.

    Raises:
        UsageError: The file is missing, may not be read, or has another ending.
    """
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".jsonl", ".ndjson"):
        raise UsageError(f"{path}: saw a file ending {suffix or '(none)'!r}, wanted .csv or .jsonl.")
    columns = (*REQUIRED, *optional)
    reader = _Reader(columns, free_text)
    try:
        with path.open(encoding="utf-8-sig", newline="" if suffix == ".csv" else None) as file:
            (reader.read_csv if suffix == ".csv" else reader.read_jsonl)(file)
    except FileNotFoundError:
        raise UsageError(f"No file at {path}.", hint=f"ls {path.parent}") from None
    except UnicodeDecodeError as error:
        reader.stop(f"not UTF-8 text after row {reader.num_rows} ({error.reason})")
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}.") from None
    return reader.finish(path)


class _Reader:
    """Collects columns and faults of one file."""

    def __init__(self, columns: Sequence[str], free_text: bool = False) -> None:
        self.names = columns
        self.free_text = ("target", "prediction") if free_text else ()
        self.ids: list[str] = []
        self.codes = {name: array("q") for name in columns[1:]}
        self.vocabularies: dict[str, dict[str, int]] = {name: {} for name in columns[1:]}
        self.present: set[str] = set()
        self.bad_rows: dict[str, list[int]] = {}
        self.fatal: list[str] = []
        self.num_rows = 0

    def stop(self, reason: str) -> None:
        self.fatal.append(reason)

    def note(self, fault: str) -> None:
        self.bad_rows.setdefault(fault, []).append(self.num_rows)

    def read_csv(self, file: IO[str]) -> None:
        rows = csv.reader(_bounded_lines(file))
        try:
            header = [name.strip() for name in next(rows, [])]
            twice = sorted({name for name in header if name in self.names and header.count(name) > 1})
            if twice:
                return self.stop(f"column {', '.join(twice)} appears twice")
            self.present = set(header)
            if not set(REQUIRED) <= self.present:
                return None
            where = [header.index(name) if name in header else None for name in self.names]
            for cells in rows:
                if not cells:
                    continue
                if len(cells) == len(header):
                    self.add([None if index is None else cells[index] for index in where])
                else:
                    self.note(f"another number of cells than the header's {len(header)}")
                    self.num_rows += 1
        except (csv.Error, _LineTooLong) as error:
            self.stop(f"cannot be read after row {self.num_rows}: {error}")
        return None

    def read_jsonl(self, file: IO[str]) -> None:
        try:
            for line in _bounded_lines(file):
                if line.isspace():
                    continue
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    row = None
                if isinstance(row, dict):
                    self.present.update(row)
                    self.add([_text(row.get(name)) for name in self.names])
                else:
                    self.note("not a JSON object")
                    self.num_rows += 1
        except _LineTooLong as error:
            self.stop(f"cannot be read after row {self.num_rows}: {error}")

    def add(self, cells: Sequence[str | None]) -> None:
        row_id = cells[0]
        if row_id is None or not row_id:
            self.note("no id")
            row_id = ""
        self.ids.append(row_id)
        for name, cell in zip(self.names[1:], cells[1:], strict=True):
            vocabulary = self.vocabularies[name]
            if (cell and cell not in _NOT_A_LABEL) or (name in self.free_text and cell is not None):
                self.codes[name].append(vocabulary.setdefault(cell, len(vocabulary)))
            else:
                self.codes[name].append(-1)
                if name in REQUIRED:
                    self.note(f"no {name}")
        self.num_rows += 1

    def finish(self, path: Path) -> PredictionFile:
        missing = [name for name in REQUIRED if name not in self.present]
        faults = list(self.fatal)
        if self.num_rows == 0 and not self.fatal and not (missing and self.present):
            faults.append("no rows")
        elif missing and not self.fatal:
            seen = ", ".join(sorted(self.present)[:10]) or "none"
            faults.append(f"no column {', '.join(missing)}; columns seen: {seen}")
        if not missing:
            faults += [f"{what}: {row_numbers(rows)}" for what, rows in self.bad_rows.items()]
            faults += self._duplicates()
        elif "not a JSON object" in self.bad_rows:
            faults.append(f"not a JSON object: {row_numbers(self.bad_rows['not a JSON object'])}")
        columns = {
            name: Column(
                tuple(self.vocabularies[name]), np.frombuffer(codes, dtype=np.int64) if codes else np.zeros(0, np.int64)
            )
            for name, codes in self.codes.items()
            if name in self.present
        }
        return PredictionFile(path, self.ids, columns, tuple(faults))

    def _duplicates(self) -> list[str]:
        if len(set(self.ids)) == len(self.ids):
            return []
        seen: set[str] = set()
        again = [row for row, row_id in enumerate(self.ids) if row_id and (row_id in seen or seen.add(row_id))]  # type: ignore[func-returns-value]
        return [f"id seen before: {row_numbers(again)}"] if again else []


class _LineTooLong(Exception):
    pass


def _bounded_lines(file: IO[str]) -> Iterator[str]:
    """Lines of at most 1 MiB, so that a hostile file cannot fill the memory with one line."""
    while line := file.readline(_MAX_LINE_CHARS + 1):
        if len(line) > _MAX_LINE_CHARS:
            raise _LineTooLong(f"a line is longer than {_MAX_LINE_CHARS:,} characters")
        yield line


def _text(value: Any) -> str | None:
    """A label as text; None for what is no label (null, NaN, infinity, a list, an object)."""
    if value is None or isinstance(value, (list, dict)):
        return None
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            return None
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value)


def row_numbers(rows: Sequence[int]) -> str:
    listed = ", ".join(str(row) for row in rows[:_SHOWN])
    more = f" and {len(rows) - _SHOWN:,} more" if len(rows) > _SHOWN else ""
    return f"row{'s' if len(rows) > 1 else ''} {listed}{more}"
