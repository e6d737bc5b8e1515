"""What a task makes of its child's answer: done, refused, crashed, and a verdict, which is none of the three."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskAwaitingInput

from ftcore.airflow.approval import ApproveOperator
from ftcore.airflow.operators import FinishOperator, SearchOperator, StageOperator
from ftcore.ledger import open_ledger
from ftcore.spec import ApprovalSpec, load_spec
from ftcore.stack.child import Answer

SPEC = Path(__file__).parents[2] / "dags" / "specs" / "support_intents.yaml"
RUN = {"dag_id": "d", "run_id": "r"}
FAIL = {"outcome": "FAIL", "reasons": ["worse"], "refused": ["worse"], "uri": "u"}


class Task:
    """A task instance with the XComs of the tasks before it."""

    id = "ti"

    def __init__(self, starter: str | None = None, **results: Any) -> None:
        plan = {"spec": "support_intents", "spec_digest": load_spec(SPEC).digest, "data": {}, "request_id": None,
                "cause": "manual", "reason": "manual run"}  # fmt: skip
        self.starter = starter
        self.values: dict[tuple[str, str], Any] = {
            (name, "return_value"): value for name, value in {"plan": plan, **results}.items()
        }

    def xcom_pull(self, task_ids: str, key: str) -> Any:
        return self.values.get((task_ids, key))

    def xcom_push(self, key: str, value: Any) -> None:
        self.values[("pushed", key)] = value

    def context(self) -> dict[str, Any]:
        run = SimpleNamespace(**RUN, triggering_user_name=self.starter)
        return {
            "ti": self,
            "task_instance": self,
            "task": None,
            "dag_run": run,
            "dag": SimpleNamespace(task_ids=[]),
            "outlet_events": {},
        }


def stage(name: str, answer: Answer, monkeypatch: pytest.MonkeyPatch) -> StageOperator:
    monkeypatch.setattr(StageOperator, "call", lambda self, arguments, env=None: answer)
    monkeypatch.setattr(StageOperator, "dag_id", "d", raising=False)
    return StageOperator(task_id=name, stage=name, spec_path=str(SPEC))


def left(code: int, record: dict[str, Any] | None = None, **document: Any) -> Answer:
    body = {"record": record, "reused": False, "why": []} if record else dict(document)
    return Answer(code, body or None, ("last line",))


def test_a_verdict_other_than_pass_is_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Task(evaluate={})
    assert stage("judge", left(3, FAIL), monkeypatch).execute(task.context()) == FAIL
    assert ("pushed", "refused") not in task.values
    with pytest.raises(AirflowSkipException, match="FAIL: worse"):
        stage("promote", left(0), monkeypatch).execute(Task(judge=FAIL).context())
    ending = FinishOperator(task_id="finish").execute(Task(judge=FAIL).context())
    assert ending == {"outcome": "kept", "reasons": ["verdict FAIL", "worse"]}
    (event,) = open_ledger().events("support_intents", kinds=("run_finished",))
    assert event.payload["verdict"] == {"outcome": "FAIL", "reasons": ["worse"]}


@pytest.mark.parametrize(("name", "answer", "reasons"), [
    ("validate", left(3, {"refused": ["leaks"]}), ["leaks"]),
    ("judge", left(3), ["last line"]),
])  # fmt: skip
def test_a_refusal_is_final_and_its_reasons_are_kept(
    name: str, answer: Answer, reasons: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = Task()
    with pytest.raises(AirflowFailException, match=reasons[0]):
        stage(name, answer, monkeypatch).execute(task.context())
    assert task.values[("pushed", "refused")] == reasons


@pytest.mark.parametrize(("answer", "raised"), [
    (left(1), RuntimeError),
    (left(-9), RuntimeError),
    (left(1, error={"transient": True}), RuntimeError),
    (left(1, error={"transient": False}), AirflowFailException),
    (left(2), AirflowFailException),
])  # fmt: skip
def test_only_what_may_succeed_later_is_tried_again(
    answer: Answer, raised: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(raised):
        stage("prepare", answer, monkeypatch).execute(Task().context())


def test_the_parts_of_a_search_give_their_answers_and_a_refused_plan_is_the_stages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "support_intents.yaml"
    path.write_text(SPEC.read_text() + "\ntuning: {space: {training.epochs: {low: 1, high: 2}}}\n")
    task = Task(prepare={"kind": "p"})
    task.values[("plan", "return_value")]["spec_digest"] = load_spec(path).digest
    seen: list[list[str]] = []

    def part(answer: Answer, worker: int | None) -> Any:
        monkeypatch.setattr(SearchOperator, "call", lambda self, arguments, env=None: seen.append(arguments) or answer)
        return SearchOperator(task_id="t", spec_path=str(path), worker=worker).execute(task.context())

    assert part(left(0, workers=[0, 1]), None) == [0, 1]
    assert part(left(0, worker=1, is_done=False), 1) == {"worker": 1, "is_done": False}
    assert [call[:-1] for call in seen] == [
        ["tune", str(path), "--plan", "--inputs"], ["tune", str(path), "--worker", "1", "--inputs"],
    ]  # fmt: skip
    with pytest.raises(AirflowFailException, match="last line"):
        part(left(3), None)
    refused = Task(ingest={}, validate={}, prepare={})
    refused.values[("plan_trials", "refused")] = ["12 % leak"]
    context = refused.context() | {"dag": SimpleNamespace(task_ids=["tune", "plan_trials"])}
    with pytest.raises(AirflowFailException, match="tune refused; 12 % leak"):
        FinishOperator(task_id="finish").execute(context)


def test_a_spec_edited_under_a_run_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Task()
    task.values[("plan", "return_value")]["spec_digest"] = "other"
    with pytest.raises(AirflowFailException, match="was edited"):
        stage("ingest", left(0), monkeypatch).execute(task.context())


PASSED = {"outcome": "PASS", "reasons": ["better"], "refused": [], "uri": "stages/judge/k", "candidate_digest": "c" * 64,
          "champion_digest": None}  # fmt: skip


def ask(monkeypatch: pytest.MonkeyPatch, starter: str | None, **approval: Any) -> tuple[dict[str, Any], Task]:
    """What Airflow is told when a person is asked, through its own operator."""
    told: dict[str, Any] = {}
    monkeypatch.setattr(
        "airflow.providers.standard.operators.hitl.upsert_hitl_detail", lambda **said: told.update(said)
    )
    spec = load_spec(SPEC).model_copy(update={"approval": ApprovalSpec(required=True, **approval)})
    task = Task(starter, judge=PASSED)
    with pytest.raises(TaskAwaitingInput) as waiting:
        ApproveOperator(task_id="approve", spec=spec).execute(task.context())
    return told | {"timeout": waiting.value.timeout}, task


def test_a_person_is_asked_with_the_evidence_and_no_answer_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    told, _ = ask(monkeypatch, "eve", approvers=["ada", "eve"], timeout_hours=2)
    assert (told["options"], told["defaults"]) == (["Approve", "Reject"], ["Reject"])
    assert told["timeout"] == timedelta(hours=2)
    assert told["assigned_users"] == [{"id": "ada", "name": "ada"}], "eve started the run"
    assert "Started by eve (manual: manual run)" in told["body"] and "- better" in told["body"]
    assert ask(monkeypatch, None, approvers=["ada", "eve"])[0]["assigned_users"] == [
        {"id": name, "name": name} for name in ("ada", "eve")
    ]
    assert ask(monkeypatch, "eve")[0]["assigned_users"] is None


def test_where_ids_are_numbers_promote_alone_checks_the_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__AUTH_MANAGER", "airflow.providers.fab.auth_manager.FabAuthManager")
    told, _ = ask(monkeypatch, "eve", approvers=["ada"])
    assert told["assigned_users"] is None and "Approvers: ada; anybody else" in told["body"]


def test_a_run_that_its_only_approver_started_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = load_spec(SPEC).model_copy(update={"approval": ApprovalSpec(required=True, approvers=["eve"])})
    task = Task("eve", judge=PASSED)
    with pytest.raises(AirflowFailException, match="eve started this run and is its only approver"):
        ApproveOperator(task_id="approve", spec=spec).execute(task.context())
    task.values[("approve", "refused")] = task.values[("pushed", "refused")]
    with pytest.raises(AirflowFailException, match="promote refused; eve started this run"):
        FinishOperator(task_id="finish").execute(task.context())


@pytest.mark.parametrize(("by", "chosen"), [({"id": "ada", "name": "ada"}, "Approve"), (None, "Reject")])
def test_the_answer_reaches_promote_and_finish(
    monkeypatch: pytest.MonkeyPatch, by: dict[str, str] | None, chosen: str
) -> None:
    """A rejection skips promote; an approval runs it in the approver's name and says who started the run."""
    task = Task("eve", judge=PASSED)
    answer = {
        "chosen_options": [chosen],
        "params_input": {},
        "responded_at": datetime.now(UTC),
        "responded_by_user": by,
    }
    asking = ApproveOperator(task_id="approve", spec=load_spec(SPEC))
    asking.execute_complete(task.context(), answer)  # without tasks after it there is nothing to skip
    given = task.values[("pushed", "answer")]
    assert given == {"chosen": [chosen], "by": by and by["name"]}
    task.values[("approve", "answer")] = given
    if chosen == "Approve":
        seen: dict[str, str] = {}
        done = left(0, {"model_digest": "m", "seq": 3})
        promote = stage("promote", done, monkeypatch)
        monkeypatch.setattr(StageOperator, "call", lambda self, arguments, env=None: seen.update(env or {}) or done)
        promote.execute(task.context())
        assert seen == {"FTCORE_ACTOR": "ada", "FTCORE_APPROVED_BY": "ada", "FTCORE_STARTED_BY": "eve"}
    else:
        context = task.context() | {"dag": SimpleNamespace(task_ids=["approve"])}
        ending = FinishOperator(task_id="finish").execute(context)
        assert ending == {"outcome": "held", "reasons": ["nobody approved in time"]}
