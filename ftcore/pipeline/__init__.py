"""Runs stages: the same functions whether Airflow calls them one by one or `ftcore run` calls them in a row.

A stage runs only when no verified output with its key exists. The key is the digest of everything the result depends
on: the stage, the source of the rooms it uses, the parts of the spec it reads, the digests of its inputs, the
libraries that compute, and the device class.
"""

from ftcore.pipeline.inputs import Inputs, gather, tuned
from ftcore.pipeline.keys import key_inputs, library_versions, source_digest
from ftcore.pipeline.references import champion_ref, data_ref, start_ref, teacher_ref
from ftcore.pipeline.running import (
    Step,
    begin_stage,
    finish_stage,
    holdout_notes,
    log_to_mlflow,
    run_pipeline,
    run_stage,
    share_search,
)

__all__ = [
    "Inputs",
    "Step",
    "begin_stage",
    "champion_ref",
    "data_ref",
    "finish_stage",
    "gather",
    "holdout_notes",
    "key_inputs",
    "library_versions",
    "log_to_mlflow",
    "run_pipeline",
    "run_stage",
    "share_search",
    "source_digest",
    "start_ref",
    "teacher_ref",
    "tuned",
]
