"""Pairs that people compared, as a file: the yardstick for a judge.

JSON lines (or CSV) with asked, a, b and choice (A, B or tie). The judge is put to these very pairs, with the same words as to the
holdout, in every evaluation: another model behind the same address shows at once.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ftcore.data.reading import read_jsonl
from ftcore.errors import IntegrityError, UsageError
from ftcore.evaluation.llm_judge.asking import Asked
from ftcore.evaluation.review import CHOICES, Pair, kappa_of, majority

FIELDS = ("asked", "a", "b", "choice")
_CHOICES = {choice.casefold(): choice for choice in CHOICES}
_MAX_FAULTS = 20


def read_labels(path: Path) -> tuple[list[Pair], dict[int, str]]:
    """The pairs, and by number from 1 what people chose.

    Raises:
        UsageError: The file cannot be read or has faults; all are listed, none quotes a text.
    """
    lines = _lines(path)
    faults, pairs, choices = [], [], {}
    for number, line in enumerate(lines, start=1):
        asked, a, b, choice = (line.get(name) if isinstance(line, dict) else None for name in FIELDS)
        plain = _CHOICES.get(choice.strip().casefold()) if isinstance(choice, str) else None
        if plain is None or not isinstance(asked, str) or not isinstance(a, str) or not isinstance(b, str):
            wanted = f"texts as {', '.join(FIELDS[:3])}, and as choice one of {', '.join(CHOICES)}"
            faults.append(f"{path.name} row {number}: wanted {wanted}")
        else:
            pairs.append(Pair(str(number), asked, a, b, True))
            choices[number] = plain
    if not lines:
        faults.append(f"{path.name}: no rows")
    if faults:
        raise UsageError("The pairs that people compared cannot be used:", details=faults[:_MAX_FAULTS])
    return pairs, choices


def _lines(path: Path) -> list[Any]:
    try:
        if path.suffix != ".csv":
            return list(read_jsonl(path))
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file, strict=True))
    except (OSError, ValueError, csv.Error, IntegrityError) as error:
        raise UsageError(f"{path.name} cannot be read ({type(error).__name__}).") from None


def labelled_pairs(pairs: Sequence[Pair], choices: Sequence[Mapping[int, str]]) -> list[dict[str, str]]:
    """Rows of the file: every pair that a reviewer chose on, with what most of them chose."""
    return [
        {
            "asked": pairs[number - 1].asked,
            "a": pairs[number - 1].first,
            "b": pairs[number - 1].second,
            "choice": choice,
        }
        for number, choice in majority(pairs, choices).items()
    ]


def kappa(asked: Sequence[Asked], choices: Mapping[int, str]) -> float | None:
    """Cohen's kappa of judge and people over the pairs with a verdict; None where it has no meaning."""
    found = {number: item.choice for number, item in enumerate(asked, start=1) if item.choice is not None}
    return kappa_of([found, choices])
