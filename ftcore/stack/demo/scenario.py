"""The loop, once around, on real parts: every step states the decision it expects and fails when it comes out otherwise."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ftcore.errors import ServiceUnavailable
from ftcore.ledger import Ledger, open_ledger
from ftcore.spec import FineTuneSpec
from ftcore.stack.airflow_client import AirflowClient, TaskState
from ftcore.stack.control import Stack, up
from ftcore.stack.demo.receiver import Receiver
from ftcore.stack.demo.timeline import DemoFailed, Row, Timeline, expect
from ftcore.stack.demo.traffic import Answers, Production, halves, read_rows

ALERT_URLS = "FTCORE_ALERT_URLS"  # the platform's alert channels
REFERENCE_ROWS = 1500
FEEDBACK_SHARE = 0.7
RUN_TIMEOUT_S = 900.0
# What "worse" and "recovered" mean, in accuracy.
MIN_LOSS = 0.10
MAX_GAP = 0.02


@dataclass
class Scenario:
    """One demo: the stack, its clients and what has been measured so far."""

    spec: FineTuneSpec
    home: Path
    timeline: Timeline
    stack: Stack
    airflow: AirflowClient
    production: Production
    receiver: Receiver
    ledger: Ledger
    reference_accuracy: float = 0.0
    first_champion: str = ""

    @property
    def retraining_dag(self) -> str:
        return f"continuous_finetuning__{self.spec.name}"

    def run(self) -> None:
        """All steps in order.

        Raises:
            FtcoreError: A decision came out other than stated, or a part failed.
        """
        self.first_training()
        ordinary = read_rows(self._raw_data() / "traffic.jsonl")
        labelled, unseen = halves(read_rows(self._raw_data() / "wave2.jsonl"), FEEDBACK_SHARE)
        self.ordinary_traffic(ordinary[:REFERENCE_ROWS])
        answers = self.shifted_traffic(labelled)
        self.drift_found()
        began = datetime.now(UTC)
        self.labels_become_data(answers)
        self.retraining_by_itself(began)
        self.recovered(unseen)
        self.audited()

    def first_training(self) -> None:
        with self.timeline.step("first data version → champion (Airflow)") as row:
            run_id = self.airflow.trigger(self.retraining_dag)
            self._follow(self.retraining_dag, run_id, row)
            self._promoted(run_id, row)
        with self.timeline.step("champion served") as row:
            self.first_champion = self._served(row)

    def ordinary_traffic(self, rows: list[dict[str, Any]]) -> None:
        with self.timeline.step(f"{len(rows)} requests like the reference") as row:
            self.reference_accuracy = self.production.send(rows).accuracy
            row.decision = f"accuracy {self.reference_accuracy:.1%}"
        with self.timeline.step("drift watch on ordinary traffic (Airflow)") as row:
            report = self._watch(row)
            expect(report["verdict"] == "ok", row, "ok: ordinary traffic must not alarm")
            expect(not self.receiver.alerts, row, "no alert")

    def shifted_traffic(self, rows: list[dict[str, Any]]) -> Answers:
        with self.timeline.step(f"{len(rows)} requests about a new product, with new intents") as row:
            answers = self.production.send(rows)
            row.decision = f"accuracy {answers.accuracy:.1%}"
            row.why = f"{(self.reference_accuracy - answers.accuracy) * 100:.1f} points below ordinary traffic"
            expect(answers.accuracy <= self.reference_accuracy - MIN_LOSS, row, f"a loss of at least {MIN_LOSS:.0%}")
        return answers

    def drift_found(self) -> None:
        with self.timeline.step("drift watch on shifted traffic (Airflow)") as row:
            report = self._watch(row)
            expect(report["verdict"] == "drift", row, "drift")
        with self.timeline.step("alert delivered, retraining requested") as row:
            self._wait(lambda: bool(self.receiver.alerts), "the alert at the webhook", 60)
            request = self.ledger.request(self.spec.name)
            row.decision = f"webhook got {self.receiver.alerts[0].get('title', 'an alert')!r}"
            row.why = f"request {request.request_id[:8]} waits for labelled data" if request else "no open request"
            expect(request is not None, row, "an open retrain request")
            expect("drift" in (self.home / "alerts.log").read_text(encoding="utf-8"), row, "the alarm in alerts.log")

    def labels_become_data(self, answers: Answers) -> None:
        with self.timeline.step("labelled feedback becomes a data version (Airflow, DVC)") as row:
            num_labels = self.production.label(answers)
            run_id = self.airflow.trigger(f"feedback__{self.spec.name}")
            self._follow(f"feedback__{self.spec.name}", run_id, row)
            data = self.ledger.current_data(self.spec.name)
            row.decision = f"revision {data.rev[:10]}" if data else "no data version"
            row.why = f"{num_labels} labels"
            expect(data is not None, row, "a new data version")

    def retraining_by_itself(self, began: datetime) -> None:
        with self.timeline.step("retraining starts by itself → new champion (Airflow asset)") as row:
            run_id = self.airflow.wait_for_run(self.retraining_dag, after=began, timeout_s=120)
            self._follow(self.retraining_dag, run_id, row)
            self._promoted(run_id, row)
            head = self.ledger.head(self.spec.name)
            expect(head is not None and head.model_digest != self.first_champion, row, "a new champion")
            expect(self.ledger.request(self.spec.name) is None, row, "the request closed")
        with self.timeline.step("new champion served") as row:
            expect(self._served(row) != self.first_champion, row, "the new champion")

    def recovered(self, rows: list[dict[str, Any]]) -> None:
        with self.timeline.step(f"{len(rows)} more shifted requests, from customers never seen") as row:
            answers = self.production.send(rows)
            row.decision = f"accuracy {answers.accuracy:.1%}"
            row.why = f"ordinary traffic had {self.reference_accuracy:.1%}"
            expect(answers.accuracy >= self.reference_accuracy - MAX_GAP, row, f"recovery to within {MAX_GAP:.0%}")

    def audited(self) -> None:
        with self.timeline.step("ledger verified") as row:
            report = self.ledger.verify()
            row.decision = "chain intact" if report.ok else "broken"
            row.why = "; ".join(report.faults) or f"{report.num_events} events"
            expect(report.ok, row, "chain intact")

    def _raw_data(self) -> Path:
        [folder] = [path / "files" for path in (self.home / "stages" / "ingest").iterdir() if path.is_dir()][:1]
        return folder

    def _watch(self, row: Row) -> dict[str, Any]:
        dag_id = f"drift_watch__{self.spec.name}"
        run_id = self.airflow.trigger(dag_id)
        self._follow(dag_id, run_id, row)
        [event] = self.ledger.events(self.spec.name, kinds=("drift.decision",), limit=1, newest_first=True)
        row.decision, row.why = event.payload["verdict"], "; ".join(event.payload["reasons"][:1])
        return dict(event.payload)

    def _promoted(self, run_id: str, row: Row) -> None:
        verdict = self.airflow.result(self.retraining_dag, run_id, "judge") or {}
        row.decision = verdict.get("outcome", "no verdict")
        row.why = "; ".join(verdict.get("reasons", ())[:1])
        expect(row.decision == "PASS", row, "PASS")
        expect(self.ledger.head(self.spec.name) is not None, row, "a champion in the ledger")

    def _served(self, row: Row) -> str:
        head = self.ledger.head(self.spec.name)
        assert head is not None
        self._wait(lambda: self.production.serving() == head.model_digest, "the server to load the champion", 90)
        row.decision, row.why = f"model {head.model_digest[:12]}", f"ledger position {head.seq}"
        return head.model_digest

    def _follow(self, dag_id: str, run_id: str, row: Row) -> None:
        def changed(task: TaskState) -> None:
            if task.state in ("success", "failed", "skipped", "upstream_failed"):
                took = f"{task.seconds:5.1f} s" if task.seconds is not None else ""
                self.timeline.announce(f"    {task.task_id:<10} {task.state:<8} {took}")

        run = self.airflow.follow(dag_id, run_id, timeout_s=RUN_TIMEOUT_S, on_change=changed)
        row.decision = run.state
        if run.state != "success":
            failed = [task.task_id for task in self.airflow.tasks(dag_id, run_id) if task.state == "failed"]
            lines = self.airflow.log(dag_id, run_id, failed[0])[-15:] if failed else []
            where = f"{self.stack.url('airflow')}/dags/{dag_id}/runs/{run_id}"
            raise DemoFailed(f"Run {run_id} of {dag_id} failed at {', '.join(failed)}.", details=lines, hint=where)

    @staticmethod
    def _wait(condition: Callable[[], bool], what: str, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise ServiceUnavailable(f"Waited {timeout_s:.0f} s for {what}.", hint="ftcore status")
            time.sleep(0.3)


def play(spec: FineTuneSpec, home: Path, timeline: Timeline) -> Stack:
    """Start the stack and run the scenario; the stack is left running.

    Raises:
        FtcoreError: A decision came out other than stated, or a part failed.
    """
    with Receiver() as receiver:
        os.environ[ALERT_URLS] = receiver.url
        with timeline.step("Airflow, MLflow and the ftcore server start") as row:
            stack = up(home, spec.root, announce=lambda line: timeline.announce(f"    {line}"))
            row.decision = stack.url("airflow")
        with AirflowClient(stack.url("airflow"), *stack.credentials) as airflow:
            production = Production(stack.url("server"), spec.name)
            Scenario(spec, home, timeline, stack, airflow, production, receiver, open_ledger()).run()
    return stack
