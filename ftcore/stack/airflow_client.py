"""A small client of Airflow's REST API: trigger a run, follow it, wait for one that an asset event starts."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import httpx

from ftcore.errors import ServiceUnavailable, UsageError

FINISHED = frozenset({"success", "failed"})
_POLL_S = 1.0
# On SQLite, Airflow answers 500 when another of its processes holds the database for too long.
_RETRY_AFTER_S = (1.0, 2.0, 4.0)


@dataclass(frozen=True)
class TaskState:
    """One task of a run as Airflow has it now."""

    task_id: str
    state: str | None
    """None until the scheduler looks at it."""
    started: datetime | None
    ended: datetime | None
    try_number: int

    @property
    def seconds(self) -> float | None:
        """Wall seconds from start to end; None while it has not ended."""
        return (self.ended - self.started).total_seconds() if self.started and self.ended else None


@dataclass(frozen=True)
class DagRun:
    """One run of a DAG."""

    dag_id: str
    run_id: str
    state: str
    run_type: str
    queued: datetime | None
    started: datetime | None
    ended: datetime | None


class AirflowClient:
    """Talks to Airflow's API server as one user; use as a context manager.

    Raises (all methods):
        ServiceUnavailable: Airflow does not answer, or answers with an error of its own.
        UsageError: Airflow refuses the call (unknown DAG, wrong password, no permission).
    """

    def __init__(self, url: str, user: str, password: str, *, timeout_s: float = 20.0) -> None:
        self.url = url
        self._user, self._password = user, password
        self._http = httpx.Client(base_url=url, timeout=timeout_s, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.close()

    def dags(self) -> list[str]:
        """Ids of all DAGs that Airflow knows."""
        return [item["dag_id"] for item in self._call("GET", "/api/v2/dags", params={"limit": 100})["dags"]]

    def import_errors(self) -> list[str]:
        """One text per DAG file that cannot be imported."""
        rows = self._call("GET", "/api/v2/importErrors")["import_errors"]
        return [f"{row['filename']}: {row['stack_trace'].strip().splitlines()[-1]}" for row in rows]

    def unpause(self, dag_id: str) -> None:
        self._call("PATCH", f"/api/v2/dags/{dag_id}", json={"is_paused": False})

    def ensure_pool(self, name: str, slots: int, description: str) -> None:
        """Create the pool if it is not there; one that a user has resized stays as it is."""
        pools = self._call("GET", "/api/v2/pools", params={"limit": 100})["pools"]
        if name not in {pool["name"] for pool in pools}:
            body = {"name": name, "slots": slots, "description": description, "include_deferred": False}
            self._call("POST", "/api/v2/pools", json=body)

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Start a run now; returns its id."""
        run_id = f"manual__{datetime.now(UTC).isoformat()}_{secrets.token_hex(4)}"
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf or {}}
        answer = self._request("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body)
        if (
            answer.status_code != 409
        ):  # else an attempt answered with an error of Airflow's own had started it after all
            self._checked(answer)
        return run_id

    def run(self, dag_id: str, run_id: str) -> DagRun:
        return _dag_run(self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"))

    def runs(self, dag_id: str, limit: int = 20) -> list[DagRun]:
        """The newest runs first."""
        params = {"order_by": "-run_after", "limit": limit}
        return [
            _dag_run(item) for item in self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns", params=params)["dag_runs"]
        ]

    def tasks(self, dag_id: str, run_id: str) -> list[TaskState]:
        """Tasks of a run, the first started first, those not started last."""
        rows = self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        states = [
            TaskState(row["task_id"], row["state"], _time(row["start_date"]), _time(row["end_date"]), row["try_number"])
            for row in rows
        ]
        return sorted(
            states,
            key=lambda task: (task.started is None, task.started.timestamp() if task.started else 0.0, task.task_id),
        )

    def result(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """What a task returned (its XCom); None when it returned nothing."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        answer = self._request("GET", path, params={"deserialize": True})
        return None if answer.status_code == 404 else self._checked(answer)["value"]

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> list[str]:
        """Lines of a task's log."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        content = self._call("GET", path, headers={"Accept": "application/json"})["content"]
        return [str(item.get("event", "")) if isinstance(item, dict) else str(item) for item in content]

    def follow(
        self, dag_id: str, run_id: str, *, timeout_s: float, on_change: Callable[[TaskState], None] = lambda task: None
    ) -> DagRun:
        """Wait until a run has finished; `on_change` hears of every task that changes its state.

        Raises:
            ServiceUnavailable: The run has not finished within `timeout_s`.
        """
        seen: dict[str, str | None] = {}
        deadline = time.monotonic() + timeout_s
        while True:
            run = self.run(dag_id, run_id)  # before its tasks, so that the last look at them is complete
            for task in self.tasks(dag_id, run_id):
                if task.state is not None and seen.get(task.task_id) != task.state:
                    seen[task.task_id] = task.state
                    on_change(task)
            if run.state in FINISHED:
                return run
            if time.monotonic() > deadline:
                raise ServiceUnavailable(
                    f"Run {run_id} of {dag_id} has not finished within {timeout_s:.0f} s.", hint=self.url
                )
            time.sleep(_POLL_S)

    def wait_for_run(self, dag_id: str, *, after: datetime, timeout_s: float, run_type: str = "asset_triggered") -> str:
        """Id of the first run of a type queued since `after`: how one sees that an asset event started something.

        Raises:
            ServiceUnavailable: None has appeared within `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            runs = [run for run in self.runs(dag_id) if run.run_type == run_type and run.queued and run.queued >= after]
            if runs:
                return runs[-1].run_id
            time.sleep(_POLL_S)
        raise ServiceUnavailable(
            f"No {run_type} run of {dag_id} within {timeout_s:.0f} s.", hint=f"{self.url}/dags/{dag_id}"
        )

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        return self._checked(self._request(method, path, **arguments))

    def _request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """One call, repeated when Airflow answers with an error of its own: every call here may be made twice."""
        for wait_s in _RETRY_AFTER_S:
            answer = self._send(method, path, **arguments)
            if answer.status_code < 500:
                return answer
            time.sleep(wait_s)
        return self._send(method, path, **arguments)

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """One call with a valid token: a missing or expired one is fetched and the call repeated."""
        try:
            if "Authorization" not in self._http.headers:
                self._log_in()
            answer = self._http.request(method, path, **arguments)
            if answer.status_code == 401:
                self._log_in()
                answer = self._http.request(method, path, **arguments)
        except httpx.HTTPError as error:
            reason = f"{type(error).__name__}: {error}"
            raise ServiceUnavailable(
                f"Airflow at {self.url} does not answer ({reason}).", hint="ftcore status"
            ) from None
        return answer

    def _log_in(self) -> None:
        body = {"username": self._user, "password": self._password}
        token = self._checked(self._http.post("/auth/token", json=body))["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def _checked(self, answer: httpx.Response) -> Any:
        if answer.status_code >= 500:
            raise ServiceUnavailable(
                f"Airflow answers {answer.status_code} to {answer.request.url.path}: {answer.text[:300]}",
                hint="ftcore status; the API server's log is logs/api-server.log under FTCORE_HOME",
            )
        if answer.status_code >= 400:
            raise UsageError(f"Airflow refuses {answer.request.url.path}: {answer.status_code} {answer.text[:300]}")
        return answer.json()


def _dag_run(row: dict[str, Any]) -> DagRun:
    return DagRun(
        row["dag_id"],
        row["dag_run_id"],
        row["state"],
        row["run_type"],
        _time(row["queued_at"]),
        _time(row["start_date"]),
        _time(row["end_date"]),
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
