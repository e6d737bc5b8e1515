"""Trials in MLflow: one run for the search, and below it one for each trial.

What cannot be sent waits in the study, and at the end in `trials.jsonl`: MLflow's absence costs a search nothing.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import optuna

from ftcore.errors import FtcoreError
from ftcore.records import TuningResult
from ftcore.registry import tracking
from ftcore.spec import FineTuneSpec
from ftcore.store import Store
from ftcore.tuning import study as studies

if TYPE_CHECKING:
    from mlflow import MlflowClient

PARENT = "mlflow.parentRunId"
_STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
_MOST = 1000


def log_own_trials(search: studies.Search, study: optuna.Study, worker: int) -> None:
    """Send what this worker has finished and not yet sent, where MLflow is set up. Never fails."""
    if not tracking.is_set_up():
        return
    mine = {
        trial.number for trial in study.get_trials(deepcopy=False) if trial.user_attrs.get(studies.WORKER) == worker
    }
    ended = [row.to_dict() for row in studies.rows(study, search.spec) if row.number in mine]
    _try(search.spec, search.name, search.tuning.metric, ended)


def log_search(spec: FineTuneSpec, record: TuningResult, store: Store) -> bool:
    """Send a finished search. Returns False if MLflow does not take it; the next run tries again."""
    text = store.resolve(record.trials_uri).read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    name = record.uri.rpartition("/")[2]
    return _try(spec, name, record.metric, rows, record)


def _try(
    spec: FineTuneSpec, name: str, metric: str, rows: Sequence[Mapping[str, Any]], result: TuningResult | None = None
) -> bool:
    try:
        client = tracking.connect()
        with tracking.mlflow_errors():
            parent = tracking.find_or_create_run(client, spec.name, f"tune-{name}")
            _log_trials(client, parent, name, metric, rows)
            if result is not None:
                tracking.write_run(client, parent, *_of_result(result))
    except FtcoreError as error:
        sys.stderr.write(f"tune: trials are not in MLflow yet: {error.message}\n")
        return False
    return True


def _log_trials(client: MlflowClient, parent: Any, name: str, metric: str, rows: Iterable[Mapping[str, Any]]) -> None:
    experiment = parent.info.experiment_id
    found = client.search_runs([experiment], f"tags.`{PARENT}` = '{parent.info.run_id}'", max_results=_MOST)
    there = {run.data.tags.get(tracking.RUN_KEY) for run in found if run.info.status != "RUNNING"}
    begun = {run.data.tags.get(tracking.RUN_KEY): run for run in found}
    for row in rows:
        key = f"tune-{name}/{row['number']}"
        if key in there:
            continue
        tags = {tracking.RUN_KEY: key, PARENT: parent.info.run_id, "ftcore.state": row["state"]}
        run = begun.get(key) or client.create_run(experiment, run_name=f"trial-{row['number']}", tags=tags)
        _log_curve(client, run, metric, row)
        metrics = {name: float(row[name]) for name in ("score", "seconds") if row[name] is not None}
        tracking.write_run(client, run, dict(row["settings"]), metrics, {"ftcore.reason": row["reason"] or ""})
        client.set_terminated(run.info.run_id, status=_STATUS[row["state"]])


def _log_curve(client: MlflowClient, run: Any, metric: str, row: Mapping[str, Any]) -> None:
    from mlflow.entities import Metric

    now_ms = int(time.time() * 1000)
    curve = [Metric(f"validation_{metric}", value, now_ms, number) for number, value in enumerate(row["curve"], 1)]
    for start in range(0, len(curve), 900):  # MLflow takes 1000 metrics a call
        client.log_batch(run.info.run_id, metrics=curve[start : start + 900])


def _of_result(record: TuningResult) -> tuple[dict[str, Any], dict[str, float], dict[str, str]]:
    names = ("num_trials", "num_complete", "num_pruned", "num_failed", "search_s", "rescore_s", "best_score")
    metrics = {f"tune.{name}": float(getattr(record, name)) for name in names}
    if record.optimism is not None:
        metrics |= {"tune.optimism": record.optimism, "tune.rescored_mean": record.rescored[0].mean}
    params = {**record.settings, "chosen_trial": record.chosen_trial, "metric": record.metric}
    return params, metrics, {"ftcore.settings_digest": record.settings_digest}
