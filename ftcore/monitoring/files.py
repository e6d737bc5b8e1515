"""The drift decision on two files, for people who bring their own logs: prediction logs, JSONL, CSV or plain text."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from ftcore.errors import UsageError
from ftcore.monitoring.decision import Decision, decide
from ftcore.monitoring.tests import Sample, compare_windows
from ftcore.records import DriftTest
from ftcore.serving.log import is_reply, read_log, read_segment

NAMES = {
    "text": ("text", "message", "input"),
    "prediction": ("prediction", "label"),
    "confidence": ("confidence", "score"),
    "reply": ("reply", "completion"),
}
"""Column -> the names it may have in a file, the first one found wins."""
MIN_HISTORY = 5
_FIELD_BYTES = 1 << 20


@dataclass(frozen=True)
class Columns:
    """One file's rows; a column that some row lacks is None."""

    num_rows: int
    text: list[str] | None = None
    prediction: list[str] | None = None
    confidence: NDArray[np.float64] | None = None
    reply: list[str] | None = None
    ended: list[bool] | None = None


def compare_files(
    reference: Path,
    current: Path,
    history: Path | None = None,
    *,
    alpha: float = 0.01,
    min_effect: float = 0.1,
    min_rows: int = 200,
    seed: int = 0,
) -> tuple[Decision, list[DriftTest]]:
    """Decide on drift between two files.

    Predictions (or generated replies) and confidences are tested where both files have them; texts give message length, and
    their words (TF-IDF, 64 latent dimensions fitted on both windows together, so that the permutation test stays exact) stand
    in for embeddings.

    Args:
        history: Folder of files of earlier windows that were fine. With five or more, a test's floor is raised to the
            largest effect among them: what production does on ordinary days is no alarm.

    Raises:
        UsageError: A file is missing, unreadable, or has none of the columns.
    """
    before, now = read_columns(reference), read_columns(current)
    if min(before.num_rows, now.num_rows) < max(2, min_rows):
        return _decision([], before, now, min_rows, alpha), []
    tests = _compare(before, now, alpha, min_effect, seed)
    if history is not None:
        past = [read_columns(path) for path in sorted(history.iterdir()) if not path.name.startswith(".")]
        past = [window for window in past if window.num_rows >= min_rows]
        if len(past) >= MIN_HISTORY:
            effects = [_compare(before, window, alpha, min_effect, seed) for window in past]
            tests = [replace(test, floor=_floor(test, effects)) for test in tests]
    return _decision(tests, before, now, min_rows, alpha), tests


def _floor(test: DriftTest, history: Sequence[Sequence[DriftTest]]) -> float:
    return max([test.floor, *(old.effect for window in history for old in window if old.name == test.name)])


def _decision(tests: Sequence[DriftTest], before: Columns, now: Columns, min_rows: int, alpha: float) -> Decision:
    return decide(
        tests, num_reference=before.num_rows, num_current=now.num_rows, min_rows=max(2, min_rows), alpha=alpha
    )


def _compare(before: Columns, now: Columns, alpha: float, min_effect: float, seed: int) -> list[DriftTest]:
    words_before = words_now = None
    if before.text is not None and now.text is not None:
        words_before, words_now = word_space(before.text, now.text)
    tests = compare_windows(
        _sample(before, words_before), _sample(now, words_now), alpha=alpha, min_effect=min_effect, seed=seed
    )
    return [replace(test, name="vocabulary") if test.name == "embeddings" else test for test in tests]


def _sample(columns: Columns, words: NDArray[np.float64] | None) -> Sample:
    length = None if columns.text is None else np.array([len(text) for text in columns.text], dtype=float)
    return Sample(columns.prediction, columns.confidence, length, words, columns.reply, columns.ended)


def word_space(
    before: Sequence[str], now: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | tuple[None, None]:
    """[rows, up to 64] latent semantic analysis of both windows together; None where the texts hold too few words."""
    try:
        weights = TfidfVectorizer(sublinear_tf=True, min_df=2, max_features=20_000).fit_transform([*before, *now])
    except ValueError:  # no word occurs twice
        return None, None
    if weights.shape[1] < 3:
        return None, None
    size = min(64, weights.shape[1] - 1)
    rows = TruncatedSVD(size, random_state=0).fit_transform(weights)
    return rows[: len(before)], rows[len(before) :]


def read_columns(path: Path) -> Columns:
    """Read a prediction log (folder or `.log` segment), `.jsonl`, `.csv`, or plain text (one message a line).

    Raises:
        UsageError: It is missing, not readable as its ending says, or a confidence is not a finite number.
    """
    try:
        rows = list(_rows(path))
    except FileNotFoundError:
        raise UsageError(f"No file at {path}.", hint=f"ls {path.parent}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text (byte {error.start}).") from None
    except (OSError, csv.Error) as error:
        raise UsageError(f"Cannot read {path}: {error}.") from None
    found = {column: _column(rows, names) for column, names in NAMES.items()}
    ended = None
    if rows and all(map(is_reply, rows)):  # a log of replies: they are no classes
        found["reply"], found["prediction"] = [str(row["prediction"]) for row in rows], None
        ended = [bool(row["stopped"]) for row in rows]
    if rows and not any(values is not None for values in found.values()):
        seen = ", ".join(sorted(map(str, rows[0]))[:12])
        raise UsageError(f"{path} has none of the columns text, prediction, confidence, reply; it has: {seen}.")
    return Columns(
        len(rows),
        text=None if found["text"] is None else [str(value) for value in found["text"]],
        prediction=None if found["prediction"] is None else [str(value) for value in found["prediction"]],
        confidence=None if found["confidence"] is None else _numbers(found["confidence"], path),
        reply=None if found["reply"] is None else [str(value) for value in found["reply"]],
        ended=ended,
    )


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    if path.is_dir():
        if not any(path.glob("*.log")):
            raise UsageError(f"The folder {path} holds no log segments (*.log).")
        yield from read_log(path)[0]
        return
    suffix = path.suffix.lower()
    if suffix == ".log":
        yield from read_segment(path.read_bytes())[0]
    elif suffix in (".jsonl", ".ndjson"):
        yield from _json_rows(path)
    elif suffix == ".csv":
        csv.field_size_limit(_FIELD_BYTES)
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from csv.DictReader(file)
    else:
        with path.open(encoding="utf-8-sig") as file:
            yield from ({"text": line.strip()} for line in file if line.strip())


def _json_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                raise UsageError(f"{path}: row {number} is not JSON.") from None
            if not isinstance(row, dict):
                raise UsageError(f"{path}: row {number} is {type(row).__name__}, wanted an object.")
            yield row


def _column(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[Any] | None:
    for name in names:
        values = [row.get(name) for row in rows]
        if rows and all(value is not None and value != "" for value in values):
            return values
    return None


def _numbers(values: Sequence[Any], path: Path) -> NDArray[np.float64]:
    for number, value in enumerate(values):
        try:
            good = math.isfinite(float(value))
        except (TypeError, ValueError):
            good = False
        if not good:
            raise UsageError(f"{path}: the confidence of row {number} is {value!r}, wanted a number.")
    return np.array([float(value) for value in values])
