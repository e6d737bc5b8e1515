"""Delivery: to the log always, to each channel at least once, again later if refused, and no secret in sight."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from ftcore.errors import UsageError
from ftcore.ledger import Ledger, open_ledger
from ftcore.monitoring.alerts import Delivery, channel_name, deliver, expand


class Receiver:
    """A webhook that answers with `status` and keeps what it got."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.status = 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(outer.status)
                self.end_headers()

            def log_message(self, *args: object) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def ledger(home: Path) -> Ledger:
    return open_ledger()


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []


def test_log_and_webhook_get_it_once(ledger: Ledger, receiver: Receiver, home: Path) -> None:
    log = home / "alerts.log"
    ledger.enqueue_alert("s", "warning", "title", "body", "key", {"report": "/r"})
    urls = {"s": [f"{receiver.url}/hook"]}
    assert deliver(ledger, urls, log) == Delivery(delivered=1, failed=0, waiting=0)
    assert deliver(ledger, urls, log) == Delivery(0, 0, 0)
    assert lines(log) == receiver.got
    assert receiver.got[0] | {"at": ""} == {
        "id": "key", "at": "", "spec": "s", "severity": "warning", "title": "title", "body": "body", "links": {"report": "/r"},
    }  # fmt: skip


def test_a_refused_delivery_is_tried_again_later_and_only_where_it_failed(
    ledger: Ledger, receiver: Receiver, home: Path
) -> None:
    log, urls = home / "alerts.log", {"s": [receiver.url]}
    receiver.status = 500
    ledger.enqueue_alert("s", "critical", "title", "body", "key")
    assert deliver(ledger, urls, log).failed == 1
    (alert,) = ledger.pending_alerts()
    assert (alert.attempts, alert.channels_done) == (1, ("log",))
    assert "The webhook answered 500" in alert.last_error
    assert deliver(ledger, urls, log) == Delivery(0, 0, waiting=1)  # not due yet
    receiver.status = 204
    later = datetime.now(UTC) + timedelta(seconds=61)
    assert deliver(ledger, urls, log, now=later).delivered == 1
    assert (len(receiver.got), len(lines(log)), ledger.pending_alerts()) == (2, 1, [])


def test_intervals_grow_up_to_six_hours(ledger: Ledger, home: Path) -> None:
    ledger.enqueue_alert("s", "info", "t", "b", "key")
    urls = {"s": ["http://127.0.0.1:9"]}  # nobody listens
    at = datetime.now(UTC)
    deliver(ledger, urls, home / "alerts.log", now=at)
    for _ in range(3):
        deliver(ledger, urls, home / "alerts.log", now=datetime.now(UTC) + timedelta(hours=7))
    (alert,) = ledger.pending_alerts()
    assert alert.attempts == 4
    assert deliver(ledger, urls, home / "alerts.log", now=datetime.now(UTC) + timedelta(seconds=400)).waiting == 1
    assert deliver(ledger, urls, home / "alerts.log", now=datetime.now(UTC) + timedelta(seconds=490)).failed == 1


def test_secrets_come_from_the_environment_and_never_show(
    ledger: Ledger, receiver: Receiver, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{receiver.url}/${{HOOK_TOKEN}}"
    ledger.enqueue_alert("s", "info", "t", "b", "key")
    assert deliver(ledger, {"s": [url]}, home / "alerts.log").failed == 1
    assert "HOOK_TOKEN" in ledger.pending_alerts()[0].last_error
    monkeypatch.setenv("HOOK_TOKEN", "s3cret")
    receiver.status = 403
    later = datetime.now(UTC) + timedelta(hours=7)
    assert deliver(ledger, {"s": [url]}, home / "alerts.log", now=later).failed == 1
    assert "s3cret" not in ledger.pending_alerts()[0].last_error
    assert "s3cret" not in channel_name("https://user:s3cret@example.org/x?token=s3cret")
    assert expand("a${HOOK_TOKEN}b") == "as3cretb"
    with pytest.raises(UsageError, match="NOT_THERE"):
        expand("https://x/${NOT_THERE}")


def test_other_schemes_go_through_apprise(ledger: Ledger, receiver: Receiver, home: Path) -> None:
    ledger.enqueue_alert("s", "warning", "title", "body", "one", {"report": "/r"})
    host = receiver.url.removeprefix("http://")
    assert deliver(ledger, {"s": [f"json://{host}/"]}, home / "alerts.log").delivered == 1
    assert receiver.got[0]["title"] == "title"
    assert "report: /r" in receiver.got[0]["message"]
    ledger.enqueue_alert("s", "warning", "title", "body", "two")
    assert deliver(ledger, {"s": ["nosuchscheme://x"]}, home / "alerts.log").failed == 1
    assert "does not understand" in ledger.pending_alerts()[0].last_error


def test_the_platforms_channels_get_the_alerts_of_every_spec(
    ledger: Ledger, receiver: Receiver, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FTCORE_ALERT_URLS", f" {receiver.url}/a\n{receiver.url}/b ")
    ledger.enqueue_alert("unknown_spec", "warning", "title", "body", "key", {})
    assert deliver(ledger, {}, home / "alerts.log", all_specs=True) == Delivery(1, 0, 0)
    assert [item["title"] for item in receiver.got] == ["title", "title"]


def test_an_alert_waits_for_a_sweep_that_knows_its_spec(
    ledger: Ledger, receiver: Receiver, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FTCORE_ALERT_URLS", f"{receiver.url}/platform")
    log = home / "alerts.log"
    ledger.enqueue_alert("b", "critical", "title", "body", "key")
    for _ in range(2):  # log and platform get it at once, and once
        assert deliver(ledger, {"a": []}, log) == Delivery(0, 0, waiting=1)
    assert (len(lines(log)), len(receiver.got), len(ledger.pending_alerts())) == (1, 1, 1)
    assert deliver(ledger, {"a": [], "b": [f"{receiver.url}/own"]}, log) == Delivery(1, 0, 0)
    assert (len(lines(log)), len(receiver.got), ledger.pending_alerts()) == (1, 2, [])


@pytest.mark.parametrize("bad", ["http://[bad", "http://...", "http://host:port", "no address", "json://[bad"])
def test_one_bad_address_keeps_no_other_channel_waiting(
    ledger: Ledger, receiver: Receiver, home: Path, monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    bad += "/s3cret"
    monkeypatch.setenv("BAD_HOOK", bad)
    for key in ("one", "two"):
        ledger.enqueue_alert("s", "warning", "title", "body", key)
    urls = {"s": [bad, "${BAD_HOOK}", receiver.url]}
    assert deliver(ledger, urls, home / "alerts.log") == Delivery(0, failed=2, waiting=0)
    assert ([alert["id"] for alert in receiver.got], len(lines(home / "alerts.log"))) == (["one", "two"], 2)
    assert all("s3cret" not in alert.last_error for alert in ledger.pending_alerts())
