"""The DAGs built from a spec, and the two that belong to a project."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable, Param, TaskGroup, TriggerRule, conf

from ftcore.airflow.approval import ApproveOperator
from ftcore.airflow.context import Context, run_of
from ftcore.airflow.names import champion_asset, finetuning_id, retrain_asset
from ftcore.airflow.operators import (
    AnnounceOperator,
    FinishOperator,
    FtcoreOperator,
    PlanOperator,
    SearchOperator,
    StageOperator,
)
from ftcore.errors import SpecError
from ftcore.spec import FineTuneSpec, load_spec
from ftcore.stack.project import good_specs, spec_faults
from ftcore.stages import STAGES, stages_of

MAX_FAILED_RUNS = 3
"""After so many failed runs in a row Airflow pauses a fine-tuning DAG: a broken set-up must not burn compute all night. The
watching DAGs are never paused: they cost little, and must see when things are well again."""
_RETRIES = {
    "retries": 3,
    "retry_delay": timedelta(seconds=10),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=10),
}


def continuous_finetuning(spec_path: Path) -> DAG:
    """plan -> ingest -> validate -> prepare -> (search -> tune) -> train -> evaluate -> judge -> (approve) -> promote ->
    finish."""
    spec = load_spec(spec_path)
    asset = retrain_asset(spec.name)
    cron = spec.schedule.retrain
    schedule = (
        AssetOrTimeSchedule(assets=asset, timetable=CronTriggerTimetable(cron, timezone="UTC")) if cron else [asset]
    )
    longest = timedelta(hours=(4 if spec.tuning.space else 2) * spec.compute.timeout_hours + 6)
    waiting = timedelta(hours=spec.approval.timeout_hours) if spec.approval.required else timedelta()
    rev = Param(None, type=["null", "string"], title="Data revision", description="Empty: the newest accepted data.")
    with _dag(
        finetuning_id(spec.name), spec.name, schedule, longest + waiting,
        params={"rev": rev}, max_consecutive_failed_dag_runs=MAX_FAILED_RUNS,
    ) as dag:  # fmt: skip
        dag.doc_md = _doc(spec)
        tail: Any = PlanOperator(task_id="plan", spec_path=str(spec_path))
        for stage in stages_of(spec).values():
            if stage.name == "tune":
                tail = tail >> _search_tasks(spec, spec_path)
            if stage.name == "promote" and spec.approval.required:
                tail = tail >> ApproveOperator(task_id="approve", spec=spec, retries=0, execution_timeout=None)
            tail = tail >> _stage_task(stage.name, spec, spec_path)
        tail >> FinishOperator(task_id="finish", trigger_rule=TriggerRule.ALL_DONE, on_failure_callback=None)
    return dag


def drift_watch(spec_path: Path) -> DAG:
    """Judge the newest production window; announce a request that is ready."""
    spec = load_spec(spec_path)
    return _watching("drift_watch", spec, spec.schedule.drift_watch, "watch", ["watch", str(spec_path)])


def feedback(spec_path: Path) -> DAG:
    """Turn labelled production rows into a data version; announce the request it answers."""
    spec = load_spec(spec_path)
    return _watching("feedback", spec, spec.schedule.feedback, "collect", ["feedback", "collect", str(spec_path)])


def audit() -> DAG:
    """Verify the ledger's chain, packages and data versions once a day; a fault is an alert, not something to retry."""
    with _dag("audit", "", "0 3 * * *", timedelta(hours=6)) as dag:
        FtcoreOperator(task_id="verify", arguments=["audit", "verify"], retries=0)
    return dag


def reconcile(project: Path) -> DAG:
    """Every five minutes, from the state and not from events: finish promotions, deliver alerts, announce again."""
    with _dag("reconcile", "", "*/5 * * * *", timedelta(minutes=30)) as dag:
        # Last, for a run's state is that of its last task; and whatever becomes of the others.
        sweep = FtcoreOperator(
            task_id="sweep",
            arguments=["reconcile", "--project", str(project)],
            trigger_rule=TriggerRule.ALL_DONE,
            retries=0,  # the next sweep is the retry
        )
        for path in good_specs(project / "dags" / "specs"):
            name = load_spec(path).name
            AnnounceOperator(task_id=f"announce__{name}", spec_name=name) >> sweep
    return dag


def faulty_spec(spec_path: Path, error: SpecError) -> DAG:
    """Stands in for the DAG of a spec that cannot be read, so that the other specs keep theirs."""
    with _dag(finetuning_id(spec_path.stem), spec_path.stem, None, timedelta(hours=1)) as dag:
        dag.doc_md = f"## This spec has faults\n```\n{error}\n```"
        FtcoreOperator(task_id="spec_has_faults", arguments=["spec", "check", str(spec_path)], retries=0)
    return dag


def finetuning_dags(folder: Path) -> list[DAG]:
    """One DAG per spec file; a faulty one gets a DAG that says so."""
    faults = spec_faults(folder)
    return [faulty_spec(path, error) if error else continuous_finetuning(path) for path, error in faults.items()]


def _search_tasks(spec: FineTuneSpec, spec_path: Path) -> TaskGroup:
    """The study is made, then `tuning.parallel` mapped tasks run its trials; the stage `tune` chooses among them."""
    common: dict[str, Any] = {
        "spec_path": str(spec_path),
        "execution_timeout": timedelta(hours=spec.compute.timeout_hours),
        **_device("tune"),  # the plan too: the device class is part of the search's key
    }
    with TaskGroup("search", prefix_group_id=False) as group:
        workers = SearchOperator(task_id="plan_trials", **common)
        SearchOperator.partial(task_id="trials", **common).expand(worker=workers.output)
    return group


def _stage_task(name: str, spec: FineTuneSpec, spec_path: Path) -> StageOperator:
    return StageOperator(
        task_id=name,
        stage=name,
        spec_path=str(spec_path),
        execution_timeout=timedelta(hours=spec.compute.timeout_hours),
        outlets=[champion_asset(spec.name)] if name == "promote" else [],
        **_device(name),
    )


def _device(stage: str) -> dict[str, Any]:
    """Where a stage's tasks wait their turn."""
    if not STAGES[stage].isolated:
        return {}
    return {"pool": "gpu"} | ({"queue": "gpu"} if "CeleryExecutor" in conf.get("core", "executor", fallback="") else {})


def _watching(purpose: str, spec: FineTuneSpec, cron: str | None, task_id: str, arguments: list[str]) -> DAG:
    with _dag(f"{purpose}__{spec.name}", spec.name, cron, timedelta(hours=2)) as dag:
        watch = FtcoreOperator(task_id=task_id, arguments=arguments, execution_timeout=timedelta(hours=1))
        watch >> AnnounceOperator(task_id="announce", spec_name=spec.name)
    return dag


def _dag(dag_id: str, spec_name: str, schedule: Any, timeout: timedelta, **settings: Any) -> DAG:
    alert = functools.partial(_alert, spec_name or "ftcore")
    # No start date: with one, even `catchup=False` runs the last missed tick of every schedule as soon as Airflow starts.
    return DAG(
        dag_id,
        schedule=schedule,
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timeout,
        default_args={"owner": "ftcore", "on_failure_callback": alert, **_RETRIES},
        on_failure_callback=alert,
        tags={"ftcore", *([spec_name] if spec_name else [])},
        **settings,
    )


def _alert(spec_name: str, context: Context) -> None:
    """Put a failure into the ledger's outbox: once per run, whether a task or the run as a whole reports it.

    A sweep every five minutes would repeat itself all night: what comes by schedule is told once a day.
    """
    from ftcore.ledger import open_ledger

    run = run_of(context)
    task_id = getattr(context.get("ti"), "task_id", "the run")
    body = str(context.get("exception") or context.get("reason") or "no reason given")[:2000]
    title = f"{run['dag_id']}: {task_id} failed"
    by_schedule = run["run_id"].startswith("scheduled__")
    key = f"failure/{run['dag_id']}/{datetime.now(UTC).date() if by_schedule else run['run_id']}"
    open_ledger().enqueue_alert(spec_name, "critical", title, body, key, {"Airflow": run["url"]})


def _doc(spec: FineTuneSpec) -> str:
    base = f"{spec.method.name} fine-tuning of `{spec.base_model.name}`"
    gate = f"{spec.gate.metric}: non-inferior within {spec.gate.margin}, gain of at least {spec.gate.min_gain}"
    return f"## {spec.name}\n{spec.description}\n\n- {base}\n- Gate: {gate}\n"
