"""The only file of ftcore that imports Airflow: operators, assets and the DAGs built from a spec.

Every stage runs as a child process (`python -m ftcore stage ...`); records travel as small dicts through XCom. The three
outcomes stay apart: done (the record), refused (fails at once, no retry), crashed (retried with back-off).
"""

from __future__ import annotations

import functools
import json
import os
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, BaseOperator, CronTriggerTimetable, Param, TriggerRule, conf
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, AirflowTaskTimeout

from ftcore.errors import SpecError
from ftcore.spec import FineTuneSpec, load_spec
from ftcore.stack.child import Answer, Child
from ftcore.stack.project import good_specs, spec_faults
from ftcore.stages import STAGES

Context = Mapping[str, Any]

MAX_FAILED_RUNS = 3
"""After so many failed runs in a row Airflow pauses a DAG: a broken set-up must not burn compute all night."""
_RETRIES = {
    "retries": 3,
    "retry_delay": timedelta(seconds=10),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=10),
}


class FtcoreOperator(BaseOperator):  # type: ignore[misc]
    """Runs one ftcore command as a child process and returns its JSON answer.

    Args:
        arguments: What follows `python -m ftcore`; `--json` is added.
    """

    ui_color = "#e8f0fe"

    def __init__(self, *, arguments: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.arguments = arguments
        self._child: Child | None = None

    def execute(self, context: Context) -> Any:
        answer = self.call(self.arguments)
        self.check(answer)
        return answer.document

    def call(self, arguments: list[str], env: Mapping[str, str] | None = None) -> Answer:
        """Run the child; its progress goes to the task's log as it comes."""
        self._child = Child([*arguments, "--json"], env)
        try:
            return self._child.run(lambda line: self.log.info("%s", line))
        except AirflowTaskTimeout as error:  # running that long again would not be shorter
            raise AirflowFailException(f"{error}: ended, not retried") from None

    def check(self, answer: Answer) -> None:
        """Raise unless the child ended well: a refusal or wrong usage is final, a crash may be retried."""
        if answer.outcome == "crashed" and answer.may_succeed_later:
            raise RuntimeError(answer.explain())
        if answer.outcome != "done":
            raise AirflowFailException(f"{answer.outcome}: {answer.explain()}")

    def on_kill(self) -> None:
        """Airflow ends the task: its child must not live on."""
        if self._child is not None:
            self._child.stop()


class StageOperator(FtcoreOperator):
    """One stage of the pipeline. Returns its record; a refusal fails without retry, its reasons in the log and in XCom.

    Args:
        stage: Row of the stages table.
        spec_path: Spec file.
    """

    ui_color = "#dcedc8"

    def __init__(self, *, stage: str, spec_path: str, **kwargs: Any) -> None:
        super().__init__(arguments=["stage", stage, spec_path], **kwargs)
        self.stage = stage
        self.spec_path = spec_path

    def execute(self, context: Context) -> Any:
        plan = _pull(context, "plan")
        spec = load_spec(self.spec_path)
        if spec.digest != plan["spec_digest"]:
            raise AirflowFailException(f"{self.spec_path} was edited while this run was going: start a new run.")
        inputs = {name: _pull(context, name) for name in STAGES[self.stage].inputs if name in STAGES}
        if "data" in STAGES[self.stage].inputs:
            inputs["data"] = plan["data"]
        if self.stage == "promote":
            _skip_unless_passed(inputs["judge"])
        with tempfile.TemporaryDirectory(prefix="ftcore-") as folder:
            file = Path(folder) / "inputs.json"
            file.write_text(json.dumps({name: value for name, value in inputs.items() if value is not None}))
            approver = (_pull(context, "approve", key="answer") or {}).get("by")
            actor = {"FTCORE_ACTOR": approver or f"airflow/{self.dag_id}"}
            answer = self.call([*self.arguments, "--inputs", str(file)], actor)
        if answer.outcome == "refused":
            self._refuse(context, answer)
        self.check(answer)
        assert answer.document is not None
        self.log.info("%s: %s", "reused" if answer.document["reused"] else "ran", "; ".join(answer.document["why"]))
        record = answer.document["record"]
        for asset in self.outlets:
            context["outlet_events"][asset].extra = {"model_digest": record["model_digest"], "seq": record["seq"]}
        return record

    def _refuse(self, context: Context, answer: Answer) -> None:
        record = (answer.document or {}).get("record") or {}
        reasons = list(record.get("refused") or answer.last_lines)
        for reason in reasons:
            self.log.error("refused: %s", reason)
        context["ti"].xcom_push(key="refused", value=reasons)
        raise AirflowFailException(f"{self.stage} refused: {'; '.join(reasons)}")


class PlanOperator(BaseOperator):  # type: ignore[misc]
    """First task of a run: which data version, and why this run started. Skips a run that has nothing left to answer."""

    def __init__(self, *, spec_path: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec_path = spec_path

    def execute(self, context: Context) -> Any:
        from ftcore.ledger import open_ledger
        from ftcore.stack.runs import plan_run

        spec = load_spec(self.spec_path)
        run_type = str(getattr(context["dag_run"].run_type, "value", context["dag_run"].run_type))
        plan = plan_run(spec, open_ledger(), run_type=run_type, run=_run(context), rev=context["params"].get("rev"))
        if plan is None:
            raise AirflowSkipException("No retrain request is open and ready: an earlier run has answered it.")
        self.log.info("%s: %s; data %s", plan.cause, plan.reason, plan.data)
        return plan.to_dict()


class FinishOperator(BaseOperator):  # type: ignore[misc]
    """Last task of a run, whatever came before: says what it came to and closes the request it answered.

    Fails when a stage refused or crashed, so that the run shows as failed; a verdict other than PASS is no failure.
    """

    def execute(self, context: Context) -> Any:
        from ftcore.ledger import open_ledger
        from ftcore.stack.runs import finish_run

        plan = _pull(context, "plan")
        if plan is None:
            raise AirflowSkipException("The run was not planned: nothing to finish.")
        records = {stage: _pull(context, stage) for stage in STAGES}
        refusals = {stage: reasons for stage in STAGES if (reasons := _pull(context, stage, key="refused"))}
        approval = _pull(context, "approve", key="answer") if "approve" in context["dag"].task_ids else None
        ending = finish_run(open_ledger(), plan, records, refusals, approval, _run(context))
        self.log.info("%s: %s", ending.outcome, "; ".join(ending.reasons))
        if ending.outcome in ("refused", "crashed"):
            raise AirflowFailException(f"{ending.outcome}: {'; '.join(ending.reasons)}")
        return ending.to_dict()


class ApproveOperator(ApprovalOperator):  # type: ignore[misc]
    """Asks a person, with the verdict's evidence. Reject, or no answer in time, holds: promote is skipped.

    Airflow fails an unanswered request unless it has defaults; with `defaults="Reject"` the scheduler answers for it.
    """

    def __init__(self, *, spec: FineTuneSpec, **kwargs: Any) -> None:
        super().__init__(
            subject=f"Promote the new {spec.name} model?",
            body="The evidence is put in when the verdict is known.",
            defaults=self.REJECT,
            response_timeout=timedelta(hours=spec.approval.timeout_hours),
            assigned_users=[{"id": name, "name": name} for name in spec.approval.approvers] or None,
            **kwargs,
        )

    def execute(self, context: Context) -> Any:
        from ftcore.stack.runs import evidence

        verdict = _pull(context, "judge")
        _skip_unless_passed(verdict)
        self.body = evidence(verdict)
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Runs when the answer is there. Reject ends in an exception, so what it returns never reaches XCom: push it first."""
        user = event.get("responded_by_user") or {}
        context["ti"].xcom_push(key="answer", value={"chosen": event.get("chosen_options"), "by": user.get("name")})
        return super().execute_complete(context, event)


class AnnounceOperator(BaseOperator):  # type: ignore[misc]
    """Emits the retrain asset event when a request is open and ready and no run is on its way; else skips.

    A skipped task emits nothing: Airflow registers outlets on success only.
    """

    def __init__(self, *, spec_name: str, **kwargs: Any) -> None:
        super().__init__(outlets=[retrain_asset(spec_name)], **kwargs)
        self.spec_name = spec_name

    def execute(self, context: Context) -> Any:
        from ftcore.ledger import open_ledger
        from ftcore.stack.runs import ready_request

        request = ready_request(self.spec_name, open_ledger())
        if request is None:
            raise AirflowSkipException("No retrain request is open and ready.")
        if context["ti"].get_dr_count(dag_id=finetuning_id(self.spec_name), states=["queued", "running"]):
            raise AirflowSkipException(
                "A fine-tuning run is queued or running: it, or the next sweep, answers the request."
            )
        extra = {"request_id": request.request_id, "reason": request.reason}
        context["outlet_events"][retrain_asset(self.spec_name)].extra = extra
        self.log.info("announced: %s", extra)
        return extra


def retrain_asset(spec_name: str) -> Asset:
    """Event: a retrain request of this spec is open and its data is ready."""
    return Asset(name=f"ftcore_retrain__{spec_name}", uri=f"ftcore://{spec_name}/retrain", group="ftcore")


def champion_asset(spec_name: str) -> Asset:
    """Event: this spec has a new champion. For DAGs of the user's own."""
    return Asset(name=f"ftcore_champion__{spec_name}", uri=f"ftcore://{spec_name}/champion", group="ftcore")


def finetuning_id(spec_name: str) -> str:
    return f"continuous_finetuning__{spec_name}"


def continuous_finetuning(spec_path: Path) -> DAG:
    """plan -> ingest -> validate -> prepare -> train -> evaluate -> judge -> (approve) -> promote -> finish."""
    spec = load_spec(spec_path)
    asset = retrain_asset(spec.name)
    cron = spec.schedule.retrain
    schedule = (
        AssetOrTimeSchedule(assets=asset, timetable=CronTriggerTimetable(cron, timezone="UTC")) if cron else [asset]
    )
    longest = timedelta(hours=2 * spec.compute.timeout_hours + 6)
    waiting = timedelta(hours=spec.approval.timeout_hours) if spec.approval.required else timedelta()
    rev = Param(None, type=["null", "string"], title="Data revision", description="Empty: the newest accepted data.")
    with _dag(finetuning_id(spec.name), spec.name, schedule, longest + waiting, params={"rev": rev}) as dag:
        dag.doc_md = _doc(spec)
        tail: Any = PlanOperator(task_id="plan", spec_path=str(spec_path))
        for stage in STAGES.values():
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
        sweep = FtcoreOperator(task_id="sweep", arguments=["reconcile", "--project", str(project)])
        for path in good_specs(project / "dags" / "specs"):
            name = load_spec(path).name
            # The sweep failing (say, MLflow is down) must not keep a ready request waiting.
            sweep >> AnnounceOperator(task_id=f"announce__{name}", spec_name=name, trigger_rule=TriggerRule.ALL_DONE)
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


def _stage_task(name: str, spec: FineTuneSpec, spec_path: Path) -> StageOperator:
    device: dict[str, Any] = {"pool": "gpu"} if STAGES[name].isolated else {}
    if device and "CeleryExecutor" in conf.get("core", "executor", fallback=""):
        device["queue"] = "gpu"
    return StageOperator(
        task_id=name,
        stage=name,
        spec_path=str(spec_path),
        execution_timeout=timedelta(hours=spec.compute.timeout_hours),
        outlets=[champion_asset(spec.name)] if name == "promote" else [],
        **device,
    )


def _watching(purpose: str, spec: FineTuneSpec, cron: str | None, task_id: str, arguments: list[str]) -> DAG:
    with _dag(f"{purpose}__{spec.name}", spec.name, cron, timedelta(hours=2)) as dag:
        watch = FtcoreOperator(task_id=task_id, arguments=arguments, execution_timeout=timedelta(hours=1))
        watch >> AnnounceOperator(task_id="announce", spec_name=spec.name)
    return dag


def _dag(dag_id: str, spec_name: str, schedule: Any, timeout: timedelta, params: dict[str, Any] | None = None) -> DAG:
    alert = functools.partial(_alert, spec_name or "ftcore")
    # No start date: with one, even `catchup=False` runs the last missed tick of every schedule as soon as Airflow starts.
    return DAG(
        dag_id,
        schedule=schedule,
        catchup=False,
        max_active_runs=1,
        max_consecutive_failed_dag_runs=MAX_FAILED_RUNS,
        dagrun_timeout=timeout,
        default_args={"owner": "ftcore", "on_failure_callback": alert, **_RETRIES},
        on_failure_callback=alert,
        params=params,
        tags={"ftcore", *([spec_name] if spec_name else [])},
    )


def _alert(spec_name: str, context: Context) -> None:
    """Put a failure into the ledger's outbox: once per run, whether a task or the run as a whole reports it."""
    from ftcore.ledger import open_ledger

    run = _run(context)
    task_id = getattr(context.get("ti"), "task_id", "the run")
    body = str(context.get("exception") or context.get("reason") or "no reason given")[:2000]
    title = f"{run['dag_id']}: {task_id} failed"
    key = f"failure/{run['dag_id']}/{run['run_id']}"
    open_ledger().enqueue_alert(spec_name, "critical", title, body, key, {"Airflow": run["url"]})


def _run(context: Context) -> dict[str, str]:
    """Where to find this run."""
    dag_run = context["dag_run"]
    base = os.environ.get("FTCORE_AIRFLOW_URL") or conf.get("api", "base_url", fallback="")
    url = f"{base.rstrip('/')}/dags/{dag_run.dag_id}/runs/{dag_run.run_id}"
    return {"dag_id": dag_run.dag_id, "run_id": dag_run.run_id, "url": url}


def _pull(context: Context, task_id: str, key: str = "return_value") -> Any:
    return context["ti"].xcom_pull(task_ids=task_id, key=key)


def _skip_unless_passed(verdict: Mapping[str, Any]) -> None:
    if verdict["outcome"] != "PASS":
        raise AirflowSkipException(f"{verdict['outcome']}: {'; '.join(verdict['reasons'])}. The champion stays.")


def _doc(spec: FineTuneSpec) -> str:
    base = f"{spec.method.name} fine-tuning of `{spec.base_model.name}`"
    gate = f"{spec.gate.metric}: non-inferior within {spec.gate.margin}, gain of at least {spec.gate.min_gain}"
    return f"## {spec.name}\n{spec.description}\n\n- {base}\n- Gate: {gate}\n"
