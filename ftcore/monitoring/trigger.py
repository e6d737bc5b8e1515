"""What follows from a drift verdict: an alert in the outbox and a request to retrain, once per alarm, not once per look."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from ftcore.ledger import Ledger
from ftcore.records import DriftReport, RetrainRequest

DECISION = "drift.decision"
"""Ledger event: one judged window; its payload is the DriftReport."""
ALARM = "drift.alarm"
"""Ledger event: this window raised an alarm; what the cool-down counts from."""


def record_decision(ledger: Ledger, report: DriftReport, actor: str) -> bool:
    """Put the decision into the ledger, unless it is the newest one there already.

    A window that grows towards `min_rows` is `insufficient` at each look; that is noted once per model.

    Returns:
        Whether an event was written.
    """
    newest = ledger.events(report.spec, kinds=(DECISION,), limit=1, newest_first=True)
    if newest:
        last = newest[0].payload
        same_model = last.get("model_digest") == report.model_digest
        same_window = last.get("window_digest") == report.window_digest and last.get("uri") == report.uri
        still_waiting = last.get("verdict") == report.verdict == "insufficient"
        if same_model and (same_window or still_waiting):
            return False
    ledger.append(DECISION, report.spec, report.to_dict(), actor)
    return True


def raise_alarm(
    ledger: Ledger,
    report: DriftReport,
    *,
    cooldown_hours: float,
    links: Mapping[str, str],
    actor: str,
    now: datetime | None = None,
) -> RetrainRequest | None:
    """Alert and ask for retraining if the verdict is `drift` and the cool-down is over; any other verdict does nothing.

    Each step may be repeated after a crash: the alert and the request are keyed by the window.

    Returns:
        The spec's open request, or None if no alarm was raised.
    """
    if report.verdict != "drift" or in_cooldown(ledger, report.spec, cooldown_hours, now):
        return None
    key = f"drift:{report.spec}:{report.model_digest}:{report.window_digest}"
    request, _ = ledger.open_request(report.spec, f"Drift: {report.reasons[0]}", key, actor)
    body = "\n".join(
        [
            *report.reasons,
            f"Window of {report.num_current} rows, {report.window_start} to {report.window_end}, "
            f"against {report.num_reference} holdout rows of model {report.model_digest[:12]}.",
            "Retraining starts once enough labelled rows have come back as feedback.",
        ]
    )
    ledger.enqueue_alert(report.spec, "warning", f"{report.spec}: production has drifted", body, key, dict(links))
    # Last: a crash before this line repeats the steps above, which their keys make harmless.
    payload = {"window_digest": report.window_digest, "request_id": request.request_id, "uri": report.uri}
    ledger.append(ALARM, report.spec, payload, actor)
    return request


def in_cooldown(ledger: Ledger, spec: str, cooldown_hours: float, now: datetime | None = None) -> bool:
    """Whether the spec's newest alarm is younger than the cool-down."""
    newest = ledger.events(spec, kinds=(ALARM,), limit=1, newest_first=True)
    if not newest:
        return False
    age = (now or datetime.now(UTC)) - datetime.fromisoformat(newest[0].at)
    return age < timedelta(hours=cooldown_hours)
