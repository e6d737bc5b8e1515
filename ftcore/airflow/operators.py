"""Operators: a task is one child process (`python -m ftcore stage ...`) or one question to the ledger.

The three outcomes stay apart: done (the record), refused (fails at once, no retry), crashed (retried with back-off).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, AirflowTaskTimeout

from ftcore.airflow.context import Context, pull, run_of, skip_unless_passed, starter_of
from ftcore.airflow.names import finetuning_id, retrain_asset
from ftcore.spec import load_spec
from ftcore.stack.child import Answer, Child
from ftcore.stages import STAGES, stages_of


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
    """One stage of the pipeline. Returns its record; a refusal fails without retry, its reasons in the log and in XCom, unless it
    is a verdict.

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
        inputs = self.inputs(context)
        if self.stage == "promote":
            skip_unless_passed(inputs["judge"])
        approver = (pull(context, "approve", key="answer") or {}).get("by")
        starter = starter_of(context)
        who = {
            "FTCORE_ACTOR": approver or starter,
            "FTCORE_APPROVED_BY": approver or "",
            "FTCORE_STARTED_BY": starter,
        }
        answer = self.call_on(inputs, who)
        # A verdict other than PASS is a decision, not a failure: promote is skipped and the champion stays.
        if answer.outcome == "refused" and (self.stage != "judge" or answer.record is None):
            self._refuse(context, answer)
        if answer.outcome != "refused":
            self.check(answer)
        assert answer.document is not None
        self.log.info("%s: %s", "reused" if answer.document["reused"] else "ran", "; ".join(answer.document["why"]))
        record = answer.document["record"]
        for asset in self.outlets:
            context["outlet_events"][asset].extra = {"model_digest": record["model_digest"], "seq": record["seq"]}
        return record

    def inputs(self, context: Context) -> dict[str, Any]:
        """Records of the stages before this one, by stage name."""
        plan = pull(context, "plan")
        spec = load_spec(self.spec_path)
        if spec.digest != plan["spec_digest"]:
            raise AirflowFailException(f"{self.spec_path} was edited while this run was going: start a new run.")
        names = stages_of(spec)[self.stage].inputs
        inputs = {name: pull(context, name) for name in names if name in STAGES}
        return inputs | ({"data": plan["data"]} if "data" in names else {})

    def call_on(self, inputs: Mapping[str, Any], env: Mapping[str, str] | None = None) -> Answer:
        """Run the child with the records in a file."""
        with tempfile.TemporaryDirectory(prefix="ftcore-") as folder:
            file = Path(folder) / "inputs.json"
            file.write_text(json.dumps({name: value for name, value in inputs.items() if value is not None}))
            return self.call([*self.arguments, "--inputs", str(file)], env)

    def _refuse(self, context: Context, answer: Answer) -> None:
        reasons = list((answer.record or {}).get("refused") or answer.last_lines)
        for reason in reasons:
            self.log.error("refused: %s", reason)
        context["ti"].xcom_push(key="refused", value=reasons)
        raise AirflowFailException(f"{self.stage} refused: {'; '.join(reasons)}")


class SearchOperator(StageOperator):
    """What comes before the stage `tune`: the plan, which returns the numbers of the workers, or the trials of one worker.

    Args:
        worker: Its number; None: the plan.
        spec_path: Spec file.
    """

    def __init__(self, *, spec_path: str, worker: int | None = None, **kwargs: Any) -> None:
        super().__init__(stage="tune", spec_path=spec_path, **kwargs)
        self.worker = worker
        part = ["--plan"] if worker is None else ["--worker", str(worker)]
        self.arguments = ["tune", spec_path, *part]

    def execute(self, context: Context) -> Any:
        answer = self.call_on(self.inputs(context))
        if answer.outcome == "refused":
            self._refuse(context, answer)
        self.check(answer)
        assert answer.document is not None
        return answer.document["workers"] if self.worker is None else answer.document


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
        plan = plan_run(spec, open_ledger(), run_type=run_type, run=run_of(context), rev=context["params"].get("rev"))
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

        plan = pull(context, "plan")
        if plan is None:
            raise AirflowSkipException("The run was not planned: nothing to finish.")
        has_tune = "tune" in context["dag"].task_ids
        records = {stage: pull(context, stage) for stage in STAGES if stage != "tune" or has_tune}
        refusals = {stage: reasons for stage in records if (reasons := pull(context, stage, key="refused"))}
        if has_tune and (reasons := pull(context, "plan_trials", key="refused")):
            refusals["tune"] = reasons
        if reasons := pull(context, "approve", key="refused"):
            refusals["promote"] = reasons
        approval = pull(context, "approve", key="answer") if "approve" in context["dag"].task_ids else None
        ending = finish_run(open_ledger(), plan, records, refusals, approval, run_of(context))
        self.log.info("%s: %s", ending.outcome, "; ".join(ending.reasons))
        if ending.outcome in ("refused", "crashed"):
            raise AirflowFailException(f"{ending.outcome}: {'; '.join(ending.reasons)}")
        return ending.to_dict()


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
