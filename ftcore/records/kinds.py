"""All kinds of records, and the way from plain JSON to the right one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftcore.errors import IntegrityError
from ftcore.records.base import Record
from ftcore.records.data import DatasetVersion, PreparedDataset, Released, ValidationReport
from ftcore.records.evaluation import Evaluation, Standing, Verdict
from ftcore.records.operation import DriftReport, ModelRef, Promotion, RetrainRequest, Withdrawal
from ftcore.records.training import TrainingRun, TuningResult

RECORDS: dict[str, type[Record]] = {
    cls.kind: cls
    for cls in (
        DatasetVersion, ValidationReport, PreparedDataset, TrainingRun, ModelRef, Evaluation, Verdict, Promotion,
        DriftReport, RetrainRequest, Withdrawal, Released, Standing, TuningResult,
    )
}  # fmt: skip


def record_from_dict(data: Mapping[str, Any]) -> Record:
    """Any record from its JSON form.

    Raises:
        IntegrityError: Unknown kind, or fields that do not fit.
    """
    cls = RECORDS.get(str(data.get("kind")))
    if cls is None:
        raise IntegrityError(f"Unknown record kind {data.get('kind')!r}; known: {', '.join(RECORDS)}.")
    return cls.from_dict(data)
