"""The holdout as error analysis sees it: texts, answers, metadata and embeddings of the same rows."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ftcore.data.personal.examples import show
from ftcore.data.reading import read_jsonl
from ftcore.errors import DataRefused
from ftcore.evaluation.generation.metrics import FORMULAS, row_scores
from ftcore.evaluation.generation.row_statistics import row_statistics
from ftcore.evaluation.rows import Column, Floats, Ints, dense_groups

Row = Mapping[str, Any]
MAX_ROWS = 20_000
"""More rows than this are sampled: an analysis takes seconds, never minutes."""
_CANONICAL = frozenset({"id", "text", "label", "completion", "messages", "group", "timestamp", "difficulty"})
_MONTH = re.compile(r"\d{4}-\d{2}")


@dataclass(frozen=True)
class Answered:
    """One model's answers on the holdout."""

    predictions: list[str]
    confidences: Floats | None
    """[rows] probability of the predicted class; None where a row lacks it."""
    scores: Floats | None
    """[rows] of generated text: the gate's metric of each row on its own."""


@dataclass(frozen=True)
class HoldoutRows:
    """Rows of the holdout with what candidate and champion answered; a sample where there are more than MAX_ROWS."""

    ids: list[str]
    texts: list[str]
    targets: list[str]
    """Labels, or reference answers."""
    models: Mapping[str, Answered]
    """`candidate`, and `champion` where there is one."""
    groups: Ints | None
    columns: Mapping[str, Column]
    """Metadata: slice columns, source, month, whatever else the rows carry."""
    embeddings: npt.NDArray[np.float32] | None
    """[rows, hidden] of the candidate, length 1."""
    num_all: int
    """Rows of the holdout, those left out included."""
    generates: bool

    @property
    def num_rows(self) -> int:
        return len(self.ids)

    def losses(self, role: str) -> Floats:
        """[rows] 1 for a wrong label; of generated text 1 - score."""
        model = self.models[role]
        if model.scores is not None:
            return 1.0 - model.scores
        return np.array(
            [float(seen != wanted) for seen, wanted in zip(model.predictions, self.targets, strict=True)], dtype=float
        )

    def example(self, row: int) -> dict[str, Any]:
        """One row as a person may read it: texts masked and cut, labels as they are."""
        answer = show if self.generates else str
        shown: dict[str, Any] = {
            "id": self.ids[row],
            "text": show(self.texts[row]),
            "target": answer(self.targets[row]),
        }
        for role, model in self.models.items():
            shown[role] = answer(model.predictions[row])
            if model.confidences is not None and np.isfinite(model.confidences[row]):
                shown[f"{role}_confidence"] = float(model.confidences[row])
            if model.scores is not None:
                shown[f"{role}_score"] = float(model.scores[row])
        return shown

    def examples(self, rows: Sequence[int] | Ints) -> list[dict[str, Any]]:
        return [self.example(int(row)) for row in rows]


def read_holdout(folder: Path, test: Sequence[Row], *, generates: bool, metric: str) -> HoldoutRows:
    """What `evaluate` wrote below `folder`, on the rows of the candidate's prediction file.

    Args:
        test: The prepared test split, for texts and metadata; may be empty (then the texts are those of the reference).
        metric: Of generated text: the metric whose row values are the scores.

    Raises:
        IntegrityError: A file cannot be read.
        DataRefused: The champion answered other rows, or the metric has no row values.
    """
    lines = read_jsonl(folder / "predictions" / "candidate.jsonl")
    kept = _kept(len(lines))
    answered = {"candidate": [lines[position] for position in kept]}
    champion = folder / "predictions" / "champion.jsonl"
    ids = [str(line["id"]) for line in answered["candidate"]]
    if champion.is_file():
        by_id = {str(line["id"]): line for line in read_jsonl(champion)}
        missing = sum(row_id not in by_id for row_id in ids)
        if missing:
            raise DataRefused(f"The champion has no answer to {missing:,} of {len(ids):,} rows.")
        answered["champion"] = [by_id[row_id] for row_id in ids]
    reference = folder / "reference" / "rows.jsonl"
    shown = {str(row["id"]): row for row in (read_jsonl(reference) if reference.is_file() else ())}
    known = {str(row["id"]): row for row in test}
    targets = [str(line["target"]) for line in answered["candidate"]]
    return HoldoutRows(
        ids=ids,
        texts=[str((known.get(row_id) or shown.get(row_id) or {}).get("text", "")) for row_id in ids],
        targets=targets,
        models={role: _answered(found, targets, metric if generates else None) for role, found in answered.items()},
        groups=dense_groups(Column.of([_cell(line.get("group")) for line in answered["candidate"]])),
        columns=_columns(folder, answered["candidate"], [known.get(row_id, {}) for row_id in ids]),
        embeddings=_embeddings(folder, list(shown), ids),
        num_all=len(lines),
        generates=generates,
    )


def _kept(num_rows: int) -> list[int]:
    if num_rows <= MAX_ROWS:
        return list(range(num_rows))
    chosen: list[int] = np.sort(np.random.default_rng(0).choice(num_rows, MAX_ROWS, replace=False)).tolist()
    return chosen


def _answered(lines: Sequence[Row], targets: Sequence[str], metric: str | None) -> Answered:
    predictions = [str(line["prediction"]) for line in lines]
    confidences = _numbers(lines, "confidence")
    return Answered(predictions, confidences, _scores(lines, predictions, targets, metric) if metric else None)


def _scores(lines: Sequence[Row], predictions: Sequence[str], targets: Sequence[str], metric: str) -> Floats:
    """[rows] the metric of each row on its own: from the file where it is there, else computed."""
    if metric == "inverse_perplexity":
        nll, num_tokens = _numbers(lines, "nll"), _numbers(lines, "num_target_tokens")
        if nll is None or num_tokens is None:
            raise DataRefused("The prediction files have no likelihoods for inverse_perplexity.")
        return np.asarray(np.exp(-nll / np.maximum(num_tokens, 1)), dtype=float)
    found = _numbers(lines, metric)
    if found is not None:
        return found
    if metric not in FORMULAS:
        raise DataRefused(f"The prediction files have no {metric} per row.")
    return row_scores(row_statistics(targets, predictions))[metric]


def _numbers(lines: Sequence[Row], name: str) -> Floats | None:
    """[rows]; None where any row has no finite number."""
    values = [line.get(name) for line in lines]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return None
    numbers = np.array(values, dtype=float)
    return numbers if np.isfinite(numbers).all() else None


def _columns(folder: Path, lines: Sequence[Row], rows: Sequence[Row]) -> dict[str, Column]:
    tables = folder / "tables.json"
    sliced = json.loads(tables.read_text(encoding="utf-8")).get("slices", []) if tables.is_file() else []
    names = dict.fromkeys(["source", *map(str, sliced)])
    names |= dict.fromkeys(name for row in rows for name in row if name not in _CANONICAL)
    cells = {
        name: [_cell(line.get(name, row.get(name))) for line, row in zip(lines, rows, strict=True)] for name in names
    }
    cells["month"] = [_month(row.get("timestamp")) for row in rows]
    columns = {name: Column.of(values) for name, values in cells.items()}
    return {name: column for name, column in columns.items() if column.values}


def _cell(value: Any) -> str | None:
    return None if value is None or value == "" or isinstance(value, list | dict) else str(value)


def _month(value: Any) -> str | None:
    found = _MONTH.match(value) if isinstance(value, str) else None
    return found[0] if found else None


def _embeddings(folder: Path, embedded: Sequence[str], ids: Sequence[str]) -> npt.NDArray[np.float32] | None:
    """The candidate's embeddings in the order of `ids`; None where they do not fit the rows."""
    path = folder / "reference" / "embeddings.npy"
    if not path.is_file():
        return None
    vectors = np.load(path, allow_pickle=False).astype(np.float32)
    position = {row_id: number for number, row_id in enumerate(embedded)}
    if vectors.ndim != 2 or len(vectors) != len(embedded) or not all(row_id in position for row_id in ids):
        return None
    vectors = vectors[[position[row_id] for row_id in ids]]
    if not np.isfinite(vectors).all():
        return None
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: npt.NDArray[np.float32] = vectors / np.maximum(lengths, 1e-12)
    return scaled
