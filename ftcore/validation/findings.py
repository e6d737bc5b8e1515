"""What was found wrong, with the evidence: row ids, and up to ten examples that are safe to show.

Findings go to a file beside the record and into reports. Examples are row text: never in records, messages or logs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from ftcore.data.personal.examples import show

Action = Literal["quarantine", "refuse"]
NUM_EXAMPLES = 10
_MAX_IDS = 10_000


@dataclass(frozen=True)
class Example:
    """One row at fault. The text is cut, masked, and shows invisible characters as escapes; HTML still has to escape it."""

    id: str
    why: str
    text: str


@dataclass(frozen=True)
class Finding:
    """One expectation on one split that found something."""

    split: str
    expectation: str
    """Type and column, as in the suite."""
    action: Action
    """quarantine: the rows are set aside and the rest may be used; refuse: the set is not fit."""
    reason: str
    """Why the rows are set aside, in a word; also given for refusals."""
    said: str
    """What was wanted and seen, without row text."""
    notes: str
    """Why this is expected, from the suite."""
    num_rows: int
    """Rows at fault; 0: a fault of the file as a whole."""
    row_ids: tuple[str, ...] = ()
    """Their ids; the file gets the first 10,000."""
    examples: tuple[Example, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """Figures, and for triggers the n-grams themselves."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(replace(self, row_ids=self.row_ids[:_MAX_IDS]))


def find_rows(frame: Any, rows: Sequence[int], column: str | None, why: Mapping[str, str]) -> dict[str, Any]:
    """Ids and examples of some rows, as arguments of a Finding.

    Args:
        frame: The split.
        rows: Positions in it.
        column: What to quote; None: the text.
        why: Position (as text) -> what is wrong with the row.
    """
    quoted = column if column in frame.columns and column != "id" else "text"
    ids = [str(frame["id"].iloc[row]) if "id" in frame else f"row {row}" for row in rows]
    examples = tuple(
        Example(row_id, why.get(str(row), ""), show(frame[quoted].iloc[row] if quoted in frame else None))
        for row_id, row in zip(ids[:NUM_EXAMPLES], rows, strict=False)
    )
    return {"num_rows": len(rows), "row_ids": tuple(ids), "examples": examples}
