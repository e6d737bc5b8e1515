"""Records of production: which model serves, how it came and went, whether the world has changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ftcore.records.base import Record
from ftcore.records.data import DataRef

DriftVerdict = Literal["ok", "watch", "drift", "insufficient"]


@dataclass(frozen=True, kw_only=True)
class ModelRef(Record):
    """A packaged model, for example the champion at the time of judging."""

    kind: ClassVar[str] = "model_ref"

    model_digest: str
    uri: str
    """Folder in the store whose `model/` can be loaded."""
    seq: int
    """Position of the ledger head it was read at; promotion compares and sets against it."""

    @property
    def digest(self) -> str:
        return self.model_digest


@dataclass(frozen=True, kw_only=True)
class Promotion(Record):
    """promote: the new champion as the ledger has it."""

    kind: ClassVar[str] = "promotion"

    spec: str
    promotion_id: str
    model_digest: str
    previous_digest: str | None
    verdict_digest: str
    seq: int
    state: Literal["PREPARED", "COMMITTED", "APPLIED", "ABORTED"]
    package_uri: str
    mlflow_version: str | None = None


@dataclass(frozen=True, kw_only=True)
class Withdrawal(Record):
    """A rollback that took a model out of production."""

    kind: ClassVar[str] = "withdrawal"

    model_digest: str
    seq: int
    """Position of the rollback in the ledger."""
    actor: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class DriftTest:
    """One statistic of one window against the reference."""

    name: str
    statistic: float
    p_value: float
    p_adjusted: float
    effect: float
    floor: float


@dataclass(frozen=True, kw_only=True)
class DriftReport(Record):
    """monitor: has production changed, and what follows."""

    kind: ClassVar[str] = "drift_report"

    uri: str
    spec: str
    model_digest: str
    verdict: DriftVerdict
    reasons: tuple[str, ...]
    tests: tuple[DriftTest, ...] = field(default=())
    p_value: float | None = None
    num_reference: int = 0
    num_current: int = 0
    window_digest: str = ""
    window_start: str = ""
    window_end: str = ""
    report_uri: str | None = None
    """Evidently HTML."""


@dataclass(frozen=True, kw_only=True)
class RetrainRequest(Record):
    """The one way back: production has changed, so train again. Lives in the ledger; at most one open per spec."""

    kind: ClassVar[str] = "retrain_request"

    request_id: str
    spec: str
    reason: str
    opened_at: str
    state: Literal["OPEN", "DONE", "CLOSED"] = "OPEN"
    data: DataRef | None = None
    """Set once labelled rows have become a new data version: only then does retraining start."""
