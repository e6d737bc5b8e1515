"""MLflow tracking: one experiment per spec, one run per candidate; train, evaluate and judge write into the same run.

A run is found again by its tag `ftcore.run_key`, the candidate's model digest, so logging a stage twice changes nothing. MLflow
takes seconds to import, so this module imports it inside functions and asks the server's port first.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from ftcore.errors import FtcoreError, ServiceUnavailable, StorageError, first_line
from ftcore.records import Evaluation, Record, TrainingRun, Verdict
from ftcore.registry.evaluation_metrics import cost_metrics, probe_metrics
from ftcore.spec import FineTuneSpec
from ftcore.store import Store, ftcore_home

if TYPE_CHECKING:
    from mlflow import MlflowClient

RUN_KEY = "ftcore.run_key"
MAX_PARAM_CHARS = 500
MAX_ARTIFACT_BYTES = 2_000_000
_PROBE_S = 3.0


def tracking_uri() -> str:
    """`$MLFLOW_TRACKING_URI`, else the SQLite file under FTCORE_HOME that the embedded MLflow server shows."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{ftcore_home() / 'mlflow' / 'mlflow.db'}"


def is_set_up() -> bool:
    """False while the SQLite file has not been made yet: then MLflow holds nothing, and asking would make it."""
    uri = tracking_uri()
    return not uri.startswith("sqlite:///") or Path(uri.removeprefix("sqlite:///")).exists()


def check_reachable() -> None:
    """Ask whether MLflow can answer, without importing it.

    Raises:
        ServiceUnavailable: Nothing listens at the tracking address.
    """
    parts = urlsplit(tracking_uri())
    if parts.scheme not in ("http", "https"):
        return
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=_PROBE_S).close()
    except OSError as error:
        raise _unavailable(error.strerror or str(error)) from None


def connect() -> MlflowClient:
    """A client, after a quick probe; waits seconds, not minutes, for a server that hangs.

    Raises:
        ServiceUnavailable: MLflow does not answer.
    """
    check_reachable()
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient

    for name in ("mlflow.store.db.utils", "alembic.runtime.migration"):
        logging.getLogger(name).setLevel(logging.WARNING)
    uri = tracking_uri()
    if uri.startswith("sqlite:///"):
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    with mlflow_errors():
        return MlflowClient(tracking_uri=uri, registry_uri=uri)


@contextlib.contextmanager
def mlflow_errors() -> Iterator[None]:
    """MLflow's failures in our words: no answer may be tried again, a refusal may not.

    Raises:
        ServiceUnavailable: No answer, or an internal error of the server.
        FtcoreError: MLflow refused the request.
    """
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (RequestException, SQLAlchemyError) as error:
        raise _unavailable(_brief(error)) from error
    except MlflowException as error:
        if error.error_code in ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED"):
            raise _unavailable(_brief(error)) from error
        raise FtcoreError(f"MLflow at {_shown_uri()} refused: {_brief(error)}") from error


def find_or_create_run(client: MlflowClient, name: str, key: str) -> Any:
    """The run of one candidate (its oldest, should two processes have made one each), closed. `key`: the model digest."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        experiment = _create_experiment(client, name)
    elif experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    query = f"tags.`{RUN_KEY}` = '{key}'"
    found = client.search_runs([experiment.experiment_id], query, order_by=["attributes.start_time ASC"], max_results=1)
    tags = {RUN_KEY: key}
    run = found[0] if found else client.create_run(experiment.experiment_id, run_name=f"{name}-{key[:8]}", tags=tags)
    if run.info.status == "FINISHED":
        return run
    client.set_terminated(run.info.run_id)  # at once: what is logged later needs no open run, and a kill leaves none
    return client.get_run(run.info.run_id)


def _create_experiment(client: MlflowClient, name: str) -> Any:
    from mlflow.exceptions import MlflowException

    is_local = tracking_uri().startswith("sqlite:")
    location = (ftcore_home() / "mlflow" / "artifacts" / name).as_uri() if is_local else None
    with contextlib.suppress(MlflowException):  # another process made it between the question and now
        client.create_experiment(name, artifact_location=location)
    return client.get_experiment_by_name(name)


def upload_folder(client: MlflowClient, run: Any, folder: Path, artifact_path: str) -> str:
    """Copy a folder into a run's artifacts; what is there is overwritten. Returns its artifact uri.

    A run made through the embedded server has a `mlflow-artifacts:` address, which a client without that server cannot resolve;
    its files lie under FTCORE_HOME, so they are written there.
    """
    base = str(run.info.artifact_uri)
    try:
        if base.startswith("mlflow-artifacts:") and tracking_uri().startswith("sqlite:"):
            inside = urlsplit(base).path.lstrip("/")
            shutil.copytree(folder, ftcore_home() / "mlflow" / "artifacts" / inside / artifact_path, dirs_exist_ok=True)
        else:
            client.log_artifacts(run.info.run_id, str(folder), artifact_path)
    except shutil.Error as error:  # how copytree, which MLflow uses as well, reports a full disk
        raise StorageError(f"Cannot write MLflow's artifacts: {_brief(error)}", hint="df -h; then run again") from error
    return f"{base}/{artifact_path}"


def log_stage(spec: FineTuneSpec, record: Record, store: Store) -> None:
    """Log params, metrics, tags and small files of a train, evaluate or judge record; other records are not logged.

    Raises:
        ServiceUnavailable: MLflow does not answer.
        StorageError: Its artifacts cannot be written.
    """
    match record:
        case TrainingRun():
            key, params, metrics, tags = record.model_digest, *_of_training(spec, record)
        case Evaluation():
            key, params, metrics, tags = record.candidate_digest, *_of_evaluation(record)
            folder = store.resolve(record.uri)
            metrics |= probe_metrics(folder) | cost_metrics(folder)
        case Verdict():
            key, params, metrics, tags = record.candidate_digest, *_of_verdict(record)
        case _:
            return
    client = connect()
    with mlflow_errors():
        run = find_or_create_run(client, spec.name, key)
        write_run(client, run, params, metrics, {**tags, "ftcore.spec_digest": spec.digest})
        _upload_small_files(client, run, store.resolve(record.uri), record.kind)


def _of_training(spec: FineTuneSpec, record: TrainingRun) -> tuple[dict[str, Any], dict[str, float], dict[str, str]]:
    params = _flat(spec.part(("base_model", "method", "training", "compute")))
    params |= {"base_digest": record.base_digest, "data_digest": record.data_digest, "device": record.device}
    params |= {"precision": record.precision, "num_parameters": record.num_parameters, "computed_on": record.compute}
    names = (
        "num_steps",
        "num_epochs",
        "best_step",
        "best_validation_loss",
        "train_s",
        "samples_per_s",
        "num_trainable",
    )
    metrics = {f"train.{name}": float(getattr(record, name)) for name in names}
    return params, metrics, {"ftcore.model_digest": record.model_digest}


def _of_evaluation(record: Evaluation) -> tuple[dict[str, Any], dict[str, float], dict[str, str]]:
    metrics = {"evaluation.num_rows": float(record.num_rows)}
    for model in record.models:
        for metric in model.metrics:
            metrics[f"{model.role}.{metric.name}"] = metric.value
            metrics[f"{model.role}.{metric.name}.ci_low"] = metric.ci_low
            metrics[f"{model.role}.{metric.name}.ci_high"] = metric.ci_high
    return (
        {},
        metrics,
        {"ftcore.test_digest": record.test_digest, "ftcore.champion_digest": record.champion_digest or "none"},
    )


def _of_verdict(record: Verdict) -> tuple[dict[str, Any], dict[str, float], dict[str, str]]:
    metrics: dict[str, float] = {}
    for item in record.metrics:
        for name in ("difference", "ci_low", "ci_high", "p_value", "n", "n_needed"):
            metrics[f"verdict.{item.name}.{name}"] = float(getattr(item, name))
    tags = {"ftcore.verdict": record.outcome, "ftcore.verdict_digest": record.digest}
    return {}, metrics, {**tags, "ftcore.reasons": "; ".join(record.reasons)}


def write_run(
    client: MlflowClient, run: Any, params: Mapping[str, Any], metrics: Mapping[str, float], tags: Mapping[str, str]
) -> None:
    """Log to a run, as often as one likes. Params are written once (MLflow refuses changes); of metrics only those whose newest
    value differs."""
    from mlflow.entities import Metric, Param, RunTag

    new_params = [
        Param(key, _cut(value, MAX_PARAM_CHARS)) for key, value in params.items() if key not in run.data.params
    ]
    now_ms = int(time.time() * 1000)
    new_metrics = [
        Metric(key, value, now_ms, 0)
        for key, value in metrics.items()
        if math.isfinite(value) and run.data.metrics.get(key) != value
    ]
    new_tags = [RunTag(key, _cut(value, 5000)) for key, value in tags.items()]
    for start in range(0, max(len(new_params), 1), 90):  # MLflow takes 100 params a call
        client.log_batch(run.info.run_id, params=new_params[start : start + 90])
    client.log_batch(run.info.run_id, metrics=new_metrics, tags=new_tags)


def _upload_small_files(client: MlflowClient, run: Any, folder: Path, kind: str) -> None:
    """Readable results of a stage's output (tables, verdict, error report, loss curve), never rows or weights; the report quotes
    single rows, cut and masked."""
    chosen = [
        path
        for path in sorted(folder.glob("*"))
        if path.suffix in (".json", ".md", ".html") and path.name not in ("MANIFEST.json", "inputs.json")
        if path.stat().st_size <= MAX_ARTIFACT_BYTES
    ]
    if not chosen:
        return
    staging = ftcore_home() / "tmp" / f"mlflow-{run.info.run_id}-{os.getpid()}"
    try:
        staging.mkdir(parents=True)
        for path in chosen:
            shutil.copyfile(path, staging / path.name)
        upload_folder(client, run, staging, kind)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        name = f"{prefix}{key}"
        flat |= _flat(item, f"{name}.") if isinstance(item, Mapping) else {name: item}
    return flat


def _cut(value: Any, limit: int) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _shown_uri() -> str:
    parts = urlsplit(tracking_uri())
    host = parts.netloc.rpartition("@")[2]  # never a password
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _brief(error: Exception) -> str:
    return first_line(error)[:300]


def _unavailable(why: str) -> ServiceUnavailable:
    return ServiceUnavailable(
        f"MLflow at {_shown_uri()} does not answer ({why}).", hint="ftcore up, or set MLFLOW_TRACKING_URI"
    )
