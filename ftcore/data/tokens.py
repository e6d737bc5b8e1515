"""Token counts under a base model's tokenizer, without loading the model or torch."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from ftcore.data.templates import load_chat_tokenizer, needs_chat_template, render_chats
from ftcore.errors import BaseModelError
from ftcore.spec import Task

_BATCH = 1024
_WORST = 5


def count_tokens(texts: Sequence[str], model_folder: Path, *, special: bool = True) -> list[int]:
    """Tokens of each text.

    Args:
        special: Count the special tokens that the tokenizer adds; False for texts that a chat template has them in already.

    Raises:
        BaseModelError: The folder has no readable tokenizer.json.
    """
    path = model_folder / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # tokenizers raises plain Exception for a malformed file
        message = f"Cannot read the tokenizer {path}: {' '.join(str(error).split())[:200]}; wanted a fast tokenizer."
        raise BaseModelError(message, hint="use a base model that ships tokenizer.json") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return [
        len(encoding.ids)
        for start in range(0, len(texts), _BATCH)
        for encoding in tokenizer.encode_batch_fast(list(texts[start : start + _BATCH]), add_special_tokens=special)
    ]


def summarise(lengths: Sequence[int], max_length: int, batch_size: int | None = None) -> dict[str, float]:
    """`total`, `median`, `p95`, `max` tokens and `truncated_fraction` at `max_length`; no lengths give an empty dict.

    With a batch size also `padding_fraction` (share of a batch that is padding, rows shuffled) and `padding_fraction_grouped`
    (rows of like length batched together). Percentiles are nearest-rank values that occur; `total` counts tokens before
    anything is cut.
    """
    if not lengths:
        return {}
    ranked = sorted(lengths)
    stats = {
        "total": float(sum(ranked)),
        "median": float(ranked[int(len(ranked) * 0.5)]),
        "p95": float(ranked[min(len(ranked) - 1, int(len(ranked) * 0.95))]),
        "max": float(ranked[-1]),
        "truncated_fraction": sum(length > max_length for length in ranked) / len(ranked),
    }
    if batch_size:
        cut = [min(length, max_length) for length in ranked]
        stats["padding_fraction_grouped"] = padding_fraction(cut, batch_size)
        random.Random(0).shuffle(cut)
        stats["padding_fraction"] = padding_fraction(cut, batch_size)
    return stats


def padding_fraction(lengths: Sequence[int], batch_size: int) -> float:
    """Share of padding when rows are batched in this order and each batch is as wide as its longest row."""
    width = 0
    for start in range(0, len(lengths), batch_size):
        batch = lengths[start : start + batch_size]
        width += max(batch) * len(batch)
    return 1 - sum(lengths) / width if width else 0.0


def token_report(
    splits: Mapping[Any, Sequence[Mapping[str, Any]]], task: Task, model_folder: Path, max_length: int, batch_size: int
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Per split `summarise`, plus `num_truncated` and the ids of the `longest` truncated rows; and reasons to refuse the set.

    What is counted: the text of classification rows, the conversation under the model's chat template of instruction rows,
    and of seq2seq rows the text and (under `completion`) the answer, which the model reads apart.

    Raises:
        BaseModelError: The folder has no readable tokenizer.json, or no chat template where the task needs one.
    """
    refused = []
    report: dict[str, dict[str, Any]] = {}
    chat = load_chat_tokenizer(model_folder) if needs_chat_template(task) else None
    for split, rows in splits.items():
        if chat is not None:
            ids, texts, faults = render_chats(chat, rows)
            if faults:
                seen = f"{split}: the base model's chat template refuses {len(faults)} of {len(rows)} rows"
                refused.append(f"{seen}; ids {', '.join(faults[:3])}")
        else:
            ids, texts = [str(row["id"]) for row in rows], [row["text"] for row in rows]
        report[split] = _report_part(ids, texts, model_folder, max_length, batch_size, special=chat is None)
        if task == "seq2seq":
            answers = [row["completion"] for row in rows]
            report[split]["completion"] = _report_part(ids, answers, model_folder, max_length, batch_size, special=True)
    return report, refused


def _report_part(
    ids: Sequence[str], texts: Sequence[str], model_folder: Path, max_length: int, batch_size: int, *, special: bool
) -> dict[str, Any]:
    lengths = count_tokens(texts, model_folder, special=special)
    if not lengths:
        return {}
    long = sorted((-length, row_id) for row_id, length in zip(ids, lengths, strict=True) if length > max_length)
    stats: dict[str, Any] = summarise(lengths, max_length, batch_size)
    return {**stats, "num_truncated": len(long), "longest": [row_id for _, row_id in long[:_WORST]]}
