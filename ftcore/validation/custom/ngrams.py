"""The backdoor test as an expectation; the test itself is in `ftcore.validation.triggers`."""

from __future__ import annotations

from typing import Any, ClassVar

from great_expectations.compatibility import pydantic

from ftcore.errors import num_of
from ftcore.validation.custom._base import ColumnExpectation, Observation
from ftcore.validation.findings import Action
from ftcore.validation.surroundings import Surroundings
from ftcore.validation.triggers import find_triggers


class ExpectColumnNgramsNotToDecideLabel(ColumnExpectation):
    """No rare n-gram goes with one label while the rest of its rows looks like others: a planted trigger.

    Its rows go into quarantine. For train; meaningless where there are fewer than a few hundred rows.
    """

    action: ClassVar[Action] = "quarantine"
    reason: ClassVar[str] = "suspected_trigger"
    label_column: str = "label"
    min_share: float = pydantic.Field(default=0.004, gt=0.0, le=1.0)
    """Share of rows (at least 15 rows) from which an n-gram is judged."""
    max_share: float = pydantic.Field(default=0.05, gt=0.0, le=1.0)
    """Share of rows up to which an n-gram is rare."""
    alpha: float = pydantic.Field(default=0.01, gt=0.0, lt=1.0)
    """False discovery rate of the association."""
    min_ratio: float = pydantic.Field(default=0.8, gt=0.0)
    """How foreign its rows must look: 1 is like rows of other classes."""

    def look(self, frame: Any, around: Surroundings) -> Observation:
        usable = frame[frame[self.column].notna() & frame[self.label_column].notna()]
        positions = [int(number) for number in usable.index]
        found = find_triggers(
            list(usable[self.column]), list(usable[self.label_column]),
            min_share=self.min_share, max_share=self.max_share, alpha=self.alpha, min_ratio=self.min_ratio,
        )  # fmt: skip
        rows = {positions[row]: "holds a suspected trigger" for trigger in found for row in trigger.rows}
        evidence = [
            {"ngrams": list(trigger.ngrams[:5]), "label": trigger.label, "rows": len(trigger.rows),
             "log_odds": round(trigger.log_odds, 2), "p_value": trigger.p_value,
             "disagreement": round(trigger.disagreement, 3), "of_foreign_rows": round(trigger.foreign_disagreement, 3)}
            for trigger in found
        ]  # fmt: skip
        observed = f"{num_of(len(found), 'n-gram')} that decide{'s' if len(found) == 1 else ''} a label"
        return Observation(not found, observed, rows, len(usable), len(frame), {"triggers": evidence})
