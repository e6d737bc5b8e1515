"""Ratings of answers: thumbs (one answer, good or bad) and pairs (a better and a worse answer), as rows of the user's files.

A thumb is `rating` (or, as TRL calls it, `label`) with either `messages` (the last turn is the answer that was rated) or
`prompt` and `completion`; a pair is `prompt`, `chosen` and `rejected`. Prompts and answers are texts or lists of turns.
Canonical rows have `id`, `text` (the prompt's turns, one per line), `prompt` (turns), and `completion` with `rating` (bool), or
`chosen` and `rejected` (texts).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ftcore.data.conversations import Malformed, Message, check_messages
from ftcore.data.faults import Faults, Limits, short_names
from ftcore.data.formats import load_json, read_rows

Row = dict[str, Any]
Kind = Literal["kto", "dpo"]
COLUMNS: dict[Kind, tuple[tuple[str, ...], ...]] = {
    "kto": (("messages", "rating"), ("prompt", "completion", "rating")),
    "dpo": (("prompt", "chosen", "rejected"),),
}
"""Columns that a row needs: one of the groups."""
_OTHER_NAMES = {"label": "rating"}
_UP = frozenset({"up", "good", "positive", "true", "yes", "1", "+1", "👍"})
_DOWN = frozenset({"down", "bad", "negative", "false", "no", "0", "-1", "👎"})


def read_preferences(path: Path, kind: Kind, limits: Limits = Limits(), *, name: str = "") -> tuple[list[Row], Faults]:
    """The rows of one file, and what is wrong with it (`Faults.rows`: malformed rows, left out).

    Args:
        kind: kto reads thumbs, dpo pairs.
        name: What to call the file in faults and in ids made from positions; default its name.
    """
    faults = Faults(name or path.name)
    wanted = ("id", *dict.fromkeys(column for group in COLUMNS[kind] for column in group), *_OTHER_NAMES)
    rows: list[Row] = []
    for number, (line, read) in enumerate(read_rows(path, wanted, faults, limits)):
        raw = {name: read[other] for other, name in _OTHER_NAMES.items() if other in read} | read
        if len(rows) + len(faults.rows) >= limits.rows:
            faults.add(f"saw more than {limits.rows:,} rows, wanted at most that; stopped reading here", line)
            break
        if number == 0 and not any(set(group) <= set(raw) for group in COLUMNS[kind]):
            groups = " or ".join(", ".join(group) for group in COLUMNS[kind])
            faults.add(f"saw the columns {short_names(read)}, wanted {groups} ({kind})", line)
            break
        identity = raw.get("id")
        row_id = (
            str(identity) if isinstance(identity, str | int) and str(identity).strip() else f"{faults.file}:{number}"
        )
        try:
            rows.append({"id": row_id, **(_thumb(raw, limits) if kind == "kto" else _pair(raw, limits))})
        except Malformed as error:
            faults.add_row("malformed_rating", str(error), line, row_id)
    return rows, faults


def _thumb(raw: Mapping[str, Any], limits: Limits) -> Row:
    if raw.get("messages") is not None:
        messages = check_messages(_turns(raw["messages"], limits))
    else:
        messages = _joined(raw.get("prompt"), raw.get("completion"), limits)
    return {**_asked(messages), "completion": messages[-1]["content"], "rating": _rating(raw.get("rating"))}


def _pair(raw: Mapping[str, Any], limits: Limits) -> Row:
    chosen, rejected = (_joined(raw.get("prompt"), raw.get(part), limits) for part in ("chosen", "rejected"))
    better, worse = chosen[-1]["content"], rejected[-1]["content"]
    if better.strip() == worse.strip():
        raise Malformed("saw the same text as chosen and as rejected, wanted two answers")
    return {**_asked(chosen), "chosen": better, "rejected": worse}


def _asked(messages: list[Message]) -> Row:
    prompt = messages[:-1]
    if not prompt:
        raise Malformed("saw an answer without a prompt")
    return {"text": "\n".join(turn["content"] for turn in prompt), "prompt": prompt}


def _joined(prompt: Any, answer: Any, limits: Limits) -> list[Message]:
    """The turns of a prompt and its answer; an answer as a list of turns may repeat the prompt's (as public sets do)."""
    prompt, answer = _turns(prompt, limits), _turns(answer, limits)
    asked = prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}]
    if not isinstance(answer, list):
        return check_messages([*asked, {"role": "assistant", "content": answer}])
    return check_messages(answer if answer[: len(asked)] == asked else [*asked, *answer])


def _turns(value: Any, limits: Limits) -> Any:
    """A list of turns that a cell of CSV or Parquet holds as JSON text; anything else as it is."""
    if isinstance(value, str) and value.lstrip().startswith("[{"):
        try:
            return load_json(value, limits.nesting)
        except (ValueError, json.JSONDecodeError):
            return value
    return value


def _rating(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, str | int | float) else ""
    word = word.removesuffix(".0")
    if word in _UP | _DOWN:
        return word in _UP
    seen = "nothing" if value is None else f"a {type(value).__name__} of another kind"
    raise Malformed(f"saw {seen} as rating, wanted true or false, 1 or 0, up or down")
