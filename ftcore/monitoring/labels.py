"""Labels that came back from production, matched to the messages that were answered: rows to learn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ftcore.data.cleaning import clean_text
from ftcore.serving.log import Row
from ftcore.spec import ColumnsSpec

MIN_NEW_LABEL_ROWS = 5
"""A label that the data set does not know yet waits until it has so many rows: a mistyped label must not become a class."""


@dataclass(frozen=True)
class Joined:
    """Feedback matched to predictions."""

    rows: tuple[Row, ...]
    """Canonical columns, in the order of the predictions; one row per answered id."""
    unknown: int
    """Feedback for ids that no prediction carries."""
    held_back: Mapping[str, int]
    """New labels with too few rows so far."""


def join(
    feedback: Sequence[Row], predictions: Sequence[Row], known: set[str], taken: Mapping[str, str] | None = None
) -> Joined:
    """Match labels to answered messages.

    The last label of an id wins. Labels are cleaned as texts are, and one that differs from a known label only in case or
    spaces is taken for it.

    Args:
        feedback: Rows with `id`, `label`, in time order; rows without a label are about replies and do not count.
        predictions: Rows of the prediction log.
        known: Labels of the data set.
        taken: Id -> label of the rows that a data version has already; they come again only with another label.
    """
    by_form = {_form(label): label for label in sorted(known)}
    labels = {str(row["id"]): clean_text(str(row["label"])) for row in feedback if row.get("label")}
    answered = {str(row["id"]): row for row in predictions}
    found: list[Row] = []
    for identity, row in answered.items():
        if given := labels.get(identity):
            label = by_form.get(_form(given), given)
            if label != (taken or {}).get(identity):
                found.append(_canonical(row, label))
    counts = Counter(str(row["label"]) for row in found)
    held_back = {label: n for label, n in sorted(counts.items()) if label not in known and n < MIN_NEW_LABEL_ROWS}
    rows = tuple(row for row in found if row["label"] not in held_back)
    return Joined(rows, sum(identity not in answered for identity in labels), held_back)


def _form(label: str) -> str:
    return "_".join(label.casefold().replace("-", " ").replace("_", " ").split())


def _canonical(row: Row, label: str) -> Row:
    """A training row from a logged answer. The channel it came through stays its source, so slices stay comparable; one that
    nobody named stays unknown."""
    source = {"source": str(row["source"])} if row.get("source") else {}
    return {
        "id": str(row["id"]),
        "text": str(row["text"]),
        "label": label,
        "group": str(row.get("group") or row["id"]),
        "timestamp": str(row["at"]),
        **source,
    }


def in_user_columns(row: Row, columns: ColumnsSpec) -> Row:
    """The row under the names that the user's own files have."""
    return {str(getattr(columns, part)): value for part, value in row.items()}
