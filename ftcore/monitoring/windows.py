"""The current window: the newest rows that the present champion answered since it was promoted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ftcore.records import digest_of

Row = dict[str, Any]


@dataclass(frozen=True)
class Window:
    """Rows in time order, with their identity."""

    rows: tuple[Row, ...]
    digest: str
    """Over the model and the row ids: the same rows give the same window, however often it is looked at."""
    start: str
    """`at` of the oldest row; empty without rows."""
    end: str


def newest_window(rows: Sequence[Row], *, model_digest: str, since: str, size: int) -> Window:
    """The newest `size` of `rows` (in time order) that `model_digest` answered after `since`.

    Rows of an earlier champion never count: its confidences and embeddings are not comparable with this reference. After a
    rollback, rows of the same model's earlier reign do not count either.
    """
    own = [row for row in rows if row.get("model_digest") == model_digest and str(row.get("at", "")) >= since]
    newest = tuple(own[-size:])
    digest = digest_of({"model": model_digest, "rows": [row["id"] for row in newest]})
    start, end = (str(newest[0]["at"]), str(newest[-1]["at"])) if newest else ("", "")
    return Window(newest, digest, start, end)
