"""What `evaluate` and `prepare` leave behind, made up: labels that words give away, and answers that are wrong where wanted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ftcore.data.reading import write_jsonl
from ftcore.evaluation.analysis.holdout_rows import Answered, HoldoutRows
from ftcore.evaluation.rows import Column, dense_groups

LABELS = ("refund", "delivery", "login")
_WORDS = {
    "refund": ("money", "back", "paid", "charge"),
    "delivery": ("parcel", "late", "courier", "door"),
    "login": ("password", "account", "code", "locked"),
}
_FILLER = ("please", "today", "hello", "thanks", "again", "since", "monday")


def row(number: int, rng: np.random.Generator, label: str | None = None) -> dict[str, Any]:
    label = label or LABELS[number % len(LABELS)]
    words = [*rng.choice(_WORDS[label], 3), *rng.choice(_FILLER, rng.integers(1, 8))]
    return {
        "id": f"r{number}", "text": " ".join(words), "label": label, "source": f"s{rng.integers(0, 3)}",
        "group": f"g{number // 2}", "timestamp": f"2026-0{1 + number % 3}-05T10:00:00Z",
    }  # fmt: skip


def labelled(num_rows: int, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [row(number, rng) for number in range(num_rows)]


def other(label: str) -> str:
    return LABELS[(LABELS.index(label) + 1) % len(LABELS)]


def holdout(
    targets: Sequence[str], predictions: Mapping[str, Sequence[str]], *, confidences: Sequence[float] | None = None,
    scores: Mapping[str, Sequence[float]] | None = None, texts: Sequence[str] | None = None,
    groups: Sequence[str] | None = None, columns: Mapping[str, Sequence[str | None]] | None = None,
) -> HoldoutRows:  # fmt: skip
    """Rows as read, without files."""
    sure = None if confidences is None else np.array(confidences, dtype=float)
    models = {
        role: Answered(list(found), sure, None if scores is None else np.array(scores[role], dtype=float))
        for role, found in predictions.items()
    }
    return HoldoutRows(
        ids=[f"r{number}" for number in range(len(targets))],
        texts=list(texts or [f"text {number}" for number in range(len(targets))]), targets=list(targets), models=models,
        groups=None if groups is None else dense_groups(Column.of(list(groups))),
        columns={name: Column.of(list(cells)) for name, cells in (columns or {}).items()}, embeddings=None,
        num_all=len(targets), generates=scores is not None,
    )  # fmt: skip


def evaluated(
    folder: Path, rows: Sequence[Mapping[str, Any]], answers: Mapping[str, Callable[[Mapping[str, Any]], str]],
    *, confidence: float | None = 0.8, slices: Sequence[str] = ("source",), **more: Any,
) -> Path:  # fmt: skip
    """Output of `evaluate`: predictions by role, the reference with embeddings (bags of letters), tables.

    Args:
        answers: Role -> what it answers to a row.
        more: Further columns of every prediction line.
    """
    for role, answer in answers.items():
        lines = [
            {"id": item["id"], "target": item.get("label", item.get("completion")), "prediction": answer(item), **more}
            | ({} if confidence is None else {"confidence": confidence})
            | {name: item[name] for name in ("group", "source") if item.get(name) is not None}
            for item in rows
        ]
        write_jsonl(folder / "predictions" / f"{role}.jsonl", lines)
    write_jsonl(folder / "reference" / "rows.jsonl", [{"id": item["id"], "text": item["text"]} for item in rows])
    letters = np.array([[item["text"].count(chr(97 + at)) for at in range(26)] for item in rows], dtype=np.float16)
    np.save(folder / "reference" / "embeddings.npy", letters)
    (folder / "tables.json").write_text(json.dumps({"slices": list(slices)}))
    return folder


def prepared(folder: Path, train: Sequence[Mapping[str, Any]], test: Sequence[Mapping[str, Any]]) -> Path:
    write_jsonl(folder / "train.jsonl", [dict(item) for item in train])
    write_jsonl(folder / "test.jsonl", [dict(item) for item in test])
    return folder
