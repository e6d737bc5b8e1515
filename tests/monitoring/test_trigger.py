"""What a verdict sets off, and what it does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ftcore.ledger import Ledger, open_ledger
from ftcore.monitoring.trigger import ALARM, DECISION, raise_alarm, record_decision
from ftcore.records import DriftReport, DriftVerdict, RetrainRequest


@pytest.fixture
def ledger(home: Path) -> Ledger:
    return open_ledger()


def report(verdict: DriftVerdict, window: str = "w1") -> DriftReport:
    return DriftReport(
        uri="u", spec="s", model_digest="m", verdict=verdict, reasons=("It changed.",), window_digest=window
    )


def alarm(ledger: Ledger, seen: DriftReport, hours_later: float = 0.0) -> RetrainRequest | None:
    now = datetime.now(UTC) + timedelta(hours=hours_later)
    return raise_alarm(ledger, seen, cooldown_hours=2.0, links={}, actor="test", now=now)


@pytest.mark.parametrize("verdict", ["ok", "watch", "insufficient"])
def test_only_drift_alarms(ledger: Ledger, verdict: DriftVerdict) -> None:
    assert alarm(ledger, report(verdict)) is None
    assert (ledger.pending_alerts(), ledger.request("s"), ledger.events("s", kinds=(ALARM,))) == ([], None, [])


def test_drift_alarms_once_per_cool_down_and_keeps_one_request(ledger: Ledger) -> None:
    first = alarm(ledger, report("drift"))
    assert first is not None
    assert alarm(ledger, report("drift", "w2"), hours_later=1.9) is None
    assert len(ledger.pending_alerts()) == 1
    again = alarm(ledger, report("drift", "w3"), hours_later=2.1)
    assert again is not None
    assert again.request_id == first.request_id
    assert len(ledger.pending_alerts()) == 2


def test_a_crash_before_the_last_step_doubles_nothing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "append", crash)
        with pytest.raises(KeyboardInterrupt):
            alarm(ledger, report("drift"))
    assert alarm(ledger, report("drift")) is not None
    assert len(ledger.pending_alerts()) == 1
    assert len(ledger.events("s", kinds=(ALARM,))) == 1


def test_after_a_closed_request_lasting_drift_asks_again(ledger: Ledger) -> None:
    first = alarm(ledger, report("drift"))
    assert first is not None
    ledger.close_request(first.request_id, "CLOSED", "not now")
    second = alarm(ledger, report("drift", "w2"), hours_later=3)
    assert second is not None
    assert second.request_id != first.request_id


def test_decisions_are_recorded_when_they_are_news(ledger: Ledger) -> None:
    written = [
        record_decision(ledger, seen, "test")
        for seen in (
            report("insufficient", "w1"), report("insufficient", "w2"), report("ok", "w3"), report("ok", "w3"),
            report("drift", "w4"), report("insufficient", "w5"),
        )
    ]  # fmt: skip
    assert written == [True, False, True, False, True, True]
    newest = ledger.events("s", kinds=(DECISION,), limit=1, newest_first=True)[0]
    assert DriftReport.from_dict(newest.payload) == report("insufficient", "w5")
