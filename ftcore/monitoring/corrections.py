"""Replies that people corrected or rated, matched to what was asked: rows to learn from, and ratings to refine by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from ftcore.data.cleaning import clean_lines
from ftcore.data.conversations import generation_row
from ftcore.data.converting import WRITERS
from ftcore.errors import UsageError
from ftcore.serving.log import Row
from ftcore.spec import DataSpec, FineTuneSpec

RATINGS = "ratings"
"""Folder inside the data version: `data.files` patterns such as `*.jsonl` do not reach into it, for a reply that people disliked
must never be learned as a good one."""
PAIRS = "pairs"
"""The same, for corrected replies beside what the model wrote."""
_LEARNED_FROM = {"kto": RATINGS, "dpo": PAIRS}


@dataclass(frozen=True)
class JoinedReplies:
    """Feedback matched to generated replies, in the order of the predictions."""

    rows: tuple[Row, ...]
    """Canonical columns: the corrected reply is the last turn."""
    ratings: tuple[Row, ...]
    """id, messages (the last turn is the reply that was rated), rating (up or down), timestamp; group and source where known."""
    pairs: tuple[Row, ...]
    """One for each of `rows` whose prompt had been answered otherwise: id, prompt (turns), chosen (the corrected reply), rejected
    (the model's), timestamp; group and source where known."""
    unknown: int
    """Feedback for ids that no prediction carries."""


def join_replies(
    feedback: Sequence[Row],
    predictions: Sequence[Row],
    taken: Mapping[str, str] | None = None,
    rated: Mapping[str, str] | None = None,
) -> JoinedReplies:
    """Match corrected replies and ratings to answered prompts; the last of each for an id wins. Labels do not count.

    Args:
        feedback: Rows with `id` and `reply` or `rating` or both, in time order.
        predictions: Rows of the prediction log.
        taken: Id -> corrected reply of the rows that a data version has already; they come again only with another one.
        rated: Id -> rating, likewise.
    """
    replies = {str(row["id"]): clean_lines(str(row["reply"])) for row in feedback if row.get("reply")}
    ratings = {str(row["id"]): str(row["rating"]) for row in feedback if row.get("rating")}
    answered = {str(row["id"]): row for row in predictions}
    rows, given, pairs = [], [], []
    for identity, row in answered.items():
        rating, written = ratings.get(identity), str(row["prediction"])
        if (better := replies.get(identity)) and better != (taken or {}).get(identity):
            turns = _turns(row, better)
            rows.append({**_about(row), **generation_row(turns), "group": str(row.get("group") or identity)})
            if clean_lines(written) not in ("", better):
                pairs.append({**_about(row), "prompt": turns[:-1], "chosen": better, "rejected": written})
        if rating and written and rating != (rated or {}).get(identity):
            given.append({**_about(row), "messages": _turns(row, written), "rating": rating})
    unknown = sum(identity not in answered for identity in {*replies, *ratings})
    return JoinedReplies(tuple(rows), tuple(given), tuple(pairs), unknown)


def _turns(row: Row, reply: str) -> list[dict[str, str]]:
    asked = row.get("messages") or [{"role": "user", "content": str(row["text"])}]
    return [*(dict(turn) for turn in asked), {"role": "assistant", "content": reply}]


def _about(row: Row) -> Row:
    optional = {name: str(row[name]) for name in ("group", "source") if row.get(name)}
    return {"id": str(row["id"]), "timestamp": str(row["at"]), **optional}


def writer_of(data: DataSpec) -> Callable[[Row], Row]:
    """Canonical row -> the row in the user's own format and column names. `auto` writes messages, which hold every conversation.

    The function that is returned raises UsageError for a conversation that the format cannot hold.
    """
    write = WRITERS["messages" if data.format == "auto" else data.format]

    def in_user_format(row: Row) -> Row:
        whole = {name: row[name] for name in ("id", "group", "timestamp", "source") if name in row} | write(row)
        return {str(getattr(data.columns, name)): value for name, value in whole.items()}

    return in_user_format


def prefers(spec: FineTuneSpec) -> str | None:
    """The folder of feedback that `method.prefer` would learn from: ratings or pairs, in the files that feedback writes."""
    prefer = spec.method.prefer
    if prefer is None:
        return None
    folder = _LEARNED_FROM[prefer.algorithm]
    name = PurePosixPath(f"{folder}/feedback-1.jsonl")
    reads = any(len(PurePosixPath(item).parts) == len(name.parts) and name.match(item) for item in prefer.data)
    return folder if reads else None


def writable(rows: Sequence[Row], write: Callable[[Row], Row]) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """The rows that the user's format can hold, and why others cannot be written."""
    fit: list[Row] = []
    reasons: dict[str, None] = {}
    for row in rows:
        try:
            write(row)
        except UsageError as error:
            reasons[error.message] = None
        else:
            fit.append(row)
    return tuple(fit), tuple(reasons)
