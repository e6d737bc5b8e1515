"""What one stage hands to the next: small, frozen, JSON in and out.

A record carries digests, relative URIs and scalars, never rows, so it fits an Airflow XCom. `uri` is relative to the
store's root. `digest` is the identity that later stages' cache keys use: the same content gives the same digest,
wherever it was made.
"""

from ftcore.records.base import SCHEMA_VERSION, Record, canonical_json, digest_of, parse_json
from ftcore.records.data import DataRef, DatasetVersion, PreparedDataset, Released, SplitReport, ValidationReport
from ftcore.records.evaluation import (
    LOWER_IS_BETTER,
    Comparison,
    Evaluation,
    Metric,
    Outcome,
    Scored,
    Standing,
    Verdict,
)
from ftcore.records.kinds import RECORDS, record_from_dict
from ftcore.records.operation import (
    DriftReport,
    DriftTest,
    DriftVerdict,
    ModelRef,
    Promotion,
    RetrainRequest,
    Withdrawal,
)
from ftcore.records.training import PhaseRun, Rescored, TrainingRun, TuningResult

__all__ = [
    "Comparison",
    "DataRef",
    "DatasetVersion",
    "DriftReport",
    "DriftTest",
    "DriftVerdict",
    "Evaluation",
    "LOWER_IS_BETTER",
    "Metric",
    "ModelRef",
    "Outcome",
    "PhaseRun",
    "PreparedDataset",
    "Promotion",
    "RECORDS",
    "Record",
    "Released",
    "Rescored",
    "RetrainRequest",
    "SCHEMA_VERSION",
    "Scored",
    "SplitReport",
    "Standing",
    "TrainingRun",
    "TuningResult",
    "ValidationReport",
    "Verdict",
    "Withdrawal",
    "canonical_json",
    "digest_of",
    "parse_json",
    "record_from_dict",
]
