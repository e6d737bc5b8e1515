"""The client calls again when Airflow fails for a moment, and never starts two runs where one was asked for."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from ftcore.errors import ServiceUnavailable
from ftcore.stack import airflow_client
from ftcore.stack.airflow_client import AirflowClient

Handler = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow_client, "_RETRY_AFTER_S", (0.0, 0.0))


def client(answer: Handler) -> AirflowClient:
    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/token":
            return httpx.Response(201, json={"access_token": "t"})
        return answer(request)

    made = AirflowClient("http://airflow", "admin", "x")
    made._http = httpx.Client(base_url="http://airflow", transport=httpx.MockTransport(handle))
    return made


def test_a_failure_of_a_moment_starts_one_run() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content)["dag_run_id"])
        return httpx.Response([500, 500, 200][len(asked) - 1], json={"dag_run_id": asked[-1]})

    run_id = client(answer).trigger("d")
    assert asked == [run_id] * 3
    assert run_id.startswith("manual__")


def test_a_run_started_by_an_attempt_that_failed_is_taken() -> None:
    answers = iter([httpx.Response(500), httpx.Response(409, json={"detail": "exists"})])
    assert client(lambda request: next(answers)).trigger("d").startswith("manual__")


def test_a_lasting_failure_is_told_in_airflows_words() -> None:
    calls: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request.url.path)
        return httpx.Response(503, text="database is locked")

    with pytest.raises(ServiceUnavailable, match="503 to /api/v2/dags: database is locked"):
        client(answer).dags()
    assert len(calls) == 3
