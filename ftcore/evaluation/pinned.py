"""Rows that every promoted model must answer right, whatever its averages say: a file of the project, reviewed like code.

Rows are written as the spec's data are. A class must be the row's `label`. A generated answer must be the row's own, but for
white space and Unicode forms; or, in a row with a column `must_match`, hold that regular expression. Pinned rows are promises,
no sample: they are in no metric, and training may have seen them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftcore.data.reading import formats_of, read_file, read_jsonl
from ftcore.errors import UsageError
from ftcore.evaluation.generation.row_statistics import normalised
from ftcore.spec import FineTuneSpec

_COLUMN = "must_match"


@dataclass(frozen=True)
class PinnedRows:
    """The rows, and what an answer to each must be or hold."""

    rows: list[dict[str, Any]]
    """Canonical rows."""
    patterns: list[re.Pattern[str] | None]
    """None: the answer must be the row's own."""

    def passed(self, answers: Sequence[str]) -> list[bool]:
        """Whether each answer is right."""
        return [
            _is_right(row, pattern, answer)
            for row, pattern, answer in zip(self.rows, self.patterns, answers, strict=True)
        ]


def read_pinned(spec: FineTuneSpec, path: Path) -> PinnedRows:
    """Read the file that `evaluation.must_pass` names.

    Raises:
        UsageError: It is missing, empty or has faults; all are listed.
    """
    named = spec.evaluation.must_pass
    if path.suffix != ".jsonl" or not path.is_file():
        raise UsageError(f"evaluation.must_pass: wanted a .jsonl file at {path}.", hint=f"ls {path.parent}")
    rows, found = read_file(path, spec.data.columns, formats=formats_of(spec.task, spec.data.format))
    faults = found.report()
    if not faults and not rows:
        faults = [f"{path.name}: no rows"]
    patterns: list[re.Pattern[str] | None] = []
    if not faults:
        for number, raw in enumerate(read_jsonl(path)):
            try:
                patterns.append(re.compile(raw[_COLUMN]) if raw.get(_COLUMN) else None)
            except (re.error, TypeError) as error:
                faults.append(f"{path.name}: row {number}: {_COLUMN} is no regular expression ({error})")
    if faults:
        raise UsageError(f"The rows that must pass ({named}) cannot be used:", details=faults)
    return PinnedRows(rows, patterns)


def _is_right(row: dict[str, Any], pattern: re.Pattern[str] | None, answer: str) -> bool:
    if pattern is not None:
        return pattern.search(answer) is not None
    return normalised(answer) == normalised(row.get("completion") or row["label"])
