"""The watch on real parts: a package, a ledger, a prediction log, Evidently."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftcore.errors import IntegrityError
from ftcore.monitoring.trigger import ALARM, DECISION
from ftcore.monitoring.watch import watch
from ftcore.store import Store

SHIFTED = ["refund", "parcel", "parcel", "lost", "<b>tablet</b>"]


def test_ordinary_then_shifted_traffic(production: Any, messages: Callable[..., list[str]]) -> None:
    spec, store, ledger = production.spec, production.store, production.ledger
    production.serve(messages(300, seed=2))
    calm = watch(spec, store, ledger, "test")
    assert (calm.verdict, calm.num_reference, calm.num_current) == ("ok", 400, 300)
    assert ledger.pending_alerts() == []
    assert ledger.request(spec.name) is None

    production.serve(messages(200, seed=3, words=SHIFTED, low=12, high=20), start=300)
    report = watch(spec, store, ledger, "test")
    assert report.verdict == "drift"
    assert {"length", "embeddings"} <= {test.name for test in report.tests if test.p_adjusted < 0.01}
    request = ledger.request(spec.name)
    assert request is not None
    assert request.data is None
    (line,) = (store.root / "alerts.log").read_text(encoding="utf-8").splitlines()
    alert = json.loads(line)
    assert alert["title"] == "support: production has drifted"
    assert Path(alert["links"]["report"]).is_file()
    assert [event.kind for event in ledger.events(spec.name, kinds=(DECISION, ALARM))] == [DECISION, DECISION, ALARM]
    assert ledger.verify().ok

    folder = store.resolve(report.uri)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Production has changed" in page
    assert "<b>tablet</b>" not in page
    assert "&lt;b&gt;tablet&lt;/b&gt;" in page
    assert "script" not in page
    assert (folder / "evidently.html").stat().st_size > 100_000
    assert json.loads((folder / "evidently.json").read_text(encoding="utf-8"))["metrics"]


def test_the_same_window_is_judged_and_alarmed_once(production: Any, messages: Callable[..., list[str]]) -> None:
    spec, store, ledger = production.spec, production.store, production.ledger
    production.serve(messages(150, seed=3, words=SHIFTED))
    first = watch(spec, store, ledger, "test")
    made = (store.resolve(first.uri) / "report.html").stat().st_mtime_ns
    assert watch(spec, store, ledger, "test") == first
    assert (store.resolve(first.uri) / "report.html").stat().st_mtime_ns == made
    assert len(ledger.events(spec.name, kinds=(DECISION, ALARM))) == 2
    production.serve(messages(50, seed=4, words=SHIFTED), start=150)
    second = watch(spec, store, ledger, "test")  # a new window, still drifted: the cool-down keeps it quiet
    assert (second.verdict, second.window_digest != first.window_digest) == ("drift", True)
    assert len(ledger.events(spec.name, kinds=(ALARM,))) == 1
    assert len((store.root / "alerts.log").read_text(encoding="utf-8").splitlines()) == 1


def test_too_few_rows_are_insufficient_and_noted_once(production: Any, messages: Callable[..., list[str]]) -> None:
    spec, store, ledger = production.spec, production.store, production.ledger
    production.serve(messages(60, seed=3, words=SHIFTED))
    report = watch(spec, store, ledger, "test")
    assert (report.verdict, report.uri, report.num_current) == ("insufficient", "", 60)
    production.serve(messages(30, seed=4, words=SHIFTED), start=60)
    assert watch(spec, store, ledger, "test").verdict == "insufficient"
    assert len(ledger.events(spec.name, kinds=(DECISION,))) == 1
    assert ledger.pending_alerts() == []
    assert ledger.request(spec.name) is None


def test_no_champion_is_insufficient(production: Any) -> None:
    other = production.spec.model_copy(update={"name": "other"})
    production.ledger.enqueue_alert("support", "warning", "title", "body", "key")
    report = watch(other, production.store, production.ledger, "test")
    assert (report.verdict, report.reasons) == ("insufficient", ("No model has been promoted yet.",))
    assert [alert.spec for alert in production.ledger.pending_alerts()] == ["support"]  # not this watch's to close


def test_a_damaged_reference_is_an_error_not_an_all_clear(production: Any, messages: Callable[..., list[str]]) -> None:
    production.serve(messages(150, seed=2))
    rows = production.store.root / "packages" / production.digest / "reference" / "rows.jsonl"
    rows.write_text(rows.read_text(encoding="utf-8")[:-200], encoding="utf-8")
    with pytest.raises(IntegrityError, match="does not match its manifest"):
        watch(production.spec, production.store, production.ledger, "test")
    assert not (Store(production.store.root).root / "stages" / "monitor").exists()
