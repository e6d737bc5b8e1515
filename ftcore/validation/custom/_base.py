"""What every expectation of ftcore is made of.

They are Great Expectations' own BatchExpectations over one metric, the rows as a frame. A ColumnMapExpectation would need a
metric class beside each expectation, could neither say why a row is at fault nor leave a row undecided, and passes on no rows.
The answer has the keys of GX's map expectations, so Data Docs and messages treat both alike.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from great_expectations.compatibility import pydantic
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider

from ftcore.validation.findings import Action
from ftcore.validation.surroundings import Surroundings, current

UNDECIDED = object()
"""A row of which an expectation cannot say anything (say, too short to tell its language)."""


class RowsMetric(TableMetricProvider):  # type: ignore[misc]
    """The rows themselves."""

    metric_name = "table.ftcore_rows"

    @metric_value(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(cls, execution_engine: Any, metric_domain_kwargs: Any, **_: Any) -> Any:
        return execution_engine.get_compute_domain(metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE)[0]


@dataclass(frozen=True)
class Observation:
    """What an expectation saw."""

    success: bool
    observed: str | float | None = None
    """A number or a few words for the message. Never row text."""
    rows: Mapping[int, str] = field(default_factory=dict)
    """Rows at fault by position, and why in a word or two (no row text); empty for a fault of the file."""
    num_looked_at: int | None = None
    """Rows that could be judged; None: an expectation about the set as a whole."""
    num_rows: int = 0
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """Plain values for the findings file only; may quote words of rows."""

    def to_gx(self) -> dict[str, Any]:
        result: dict[str, Any] = {"observed_value": self.observed, "evidence": dict(self.evidence)}
        if self.num_looked_at is not None or self.rows:
            count = len(self.rows)
            result |= {
                "element_count": self.num_rows,
                "missing_count": self.num_rows - (self.num_rows if self.num_looked_at is None else self.num_looked_at),
                "unexpected_count": count,
                "unexpected_percent": 100.0 * count / self.num_rows if self.num_rows else 0.0,
                "unexpected_index_list": list(self.rows),
                "why": {str(row): why for row, why in self.rows.items()},
            }
        return {"success": self.success, "result": result}


def unjudged(missing: str) -> Observation:
    """The answer where something is missing without which nothing can be said: not met."""
    return Observation(False, f"nothing: {missing}")


class FrameExpectation(BatchExpectation):  # type: ignore[misc]
    """Base of all: looks at the whole frame and its surroundings."""

    metric_dependencies: ClassVar[tuple[str, ...]] = ("table.ftcore_rows",)
    action: ClassVar[Action] = "refuse"
    """What becomes of a fault unless `meta.action` of the suite says otherwise."""
    reason: ClassVar[str] = ""
    """Why a row is in quarantine, in a word for `quarantine.jsonl`."""

    @abstractmethod
    def look(self, frame: Any, around: Surroundings) -> Observation:
        """Judge the rows."""

    def _validate(
        self, metrics: Mapping[str, Any], runtime_configuration: Any = None, execution_engine: Any = None
    ) -> dict[str, Any]:
        return self.look(metrics["table.ftcore_rows"], current()).to_gx()


class ColumnExpectation(FrameExpectation):
    """Base of those about one column, which the suite names."""

    column: str


class RowExpectation(ColumnExpectation):
    """Base of those that judge one value at a time. Null values are not looked at."""

    mostly: float = pydantic.Field(default=1.0, ge=0.0, le=1.0)
    """Share of the rows looked at that must be free of faults."""

    @abstractmethod
    def faults(self, values: Sequence[Any], around: Surroundings) -> Iterable[Any]:
        """Per value: None (good), a word or two that say what is wrong, or UNDECIDED."""

    def look(self, frame: Any, around: Surroundings) -> Observation:
        values = list(frame[self.column])
        there = [row for row, value in enumerate(values) if value is not None and value == value]
        found = list(zip(there, self.faults([values[row] for row in there], around), strict=True))
        at_fault = {row: str(why) for row, why in found if why is not None and why is not UNDECIDED}
        num_decided = sum(why is not UNDECIDED for _, why in found)
        return Observation(
            success=len(at_fault) <= (1.0 - self.mostly) * num_decided + 1e-9,
            rows=at_fault,
            num_looked_at=num_decided,
            num_rows=len(values),
        )
