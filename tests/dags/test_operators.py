"""What a task makes of its child's answer: done, refused, crashed, and a verdict, which is none of the three."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from ftcore.airflow.operators import FinishOperator, SearchOperator, StageOperator
from ftcore.ledger import open_ledger
from ftcore.spec import load_spec
from ftcore.stack.child import Answer

SPEC = Path(__file__).parents[2] / "dags" / "specs" / "support_intents.yaml"
RUN = {"dag_id": "d", "run_id": "r"}
FAIL = {"outcome": "FAIL", "reasons": ["worse"], "refused": ["worse"], "uri": "u"}


class Task:
    """A task instance with the XComs of the tasks before it."""

    def __init__(self, **results: Any) -> None:
        plan = {"spec": "support_intents", "spec_digest": load_spec(SPEC).digest, "data": {}, "request_id": None}
        self.values: dict[tuple[str, str], Any] = {
            (name, "return_value"): value for name, value in {"plan": plan, **results}.items()
        }

    def xcom_pull(self, task_ids: str, key: str) -> Any:
        return self.values.get((task_ids, key))

    def xcom_push(self, key: str, value: Any) -> None:
        self.values[("pushed", key)] = value

    def context(self) -> dict[str, Any]:
        run = SimpleNamespace(**RUN, triggering_user_name=None)
        return {"ti": self, "dag_run": run, "dag": SimpleNamespace(task_ids=[]), "outlet_events": {}}


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
