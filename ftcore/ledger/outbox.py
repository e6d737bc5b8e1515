"""The alert outbox: an alarm is written here in a transaction and delivered later, as often as it takes.

Delivery is at least once per channel; receipts say which channels have it, so a repeat skips them. Every function runs inside the
caller's transaction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from ftcore.errors import UsageError
from ftcore.ledger.chain import now
from ftcore.ledger.schema import alerts, receipts
from ftcore.records import canonical_json


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One alarm on its way."""

    id: int
    spec: str
    severity: str
    """`info`, `warning` or `critical`."""
    title: str
    body: str
    dedupe_key: str
    links: Mapping[str, str]
    """Name -> address, for example the drift report."""
    created_at: str
    attempts: int
    """Failed deliveries so far."""
    last_error: str
    tried_at: str | None
    """When delivery failed last."""
    channels_done: tuple[str, ...]
    """Channels that have it already."""


def enqueue(connection: sa.Connection, values: Mapping[str, Any], links: Mapping[str, str]) -> int | None:
    """Its id, or None if an alert with this dedupe key was ever enqueued."""
    if values["severity"] not in ("info", "warning", "critical"):
        raise UsageError(f"Unknown severity {values['severity']!r}; wanted info, warning or critical.")
    known = sa.select(alerts.c.id).where(alerts.c.dedupe_key == values["dedupe_key"])
    if connection.execute(known).scalar_one_or_none() is not None:
        return None
    row = {**values, "links": canonical_json(dict(links)), "created_at": now()}
    return int(connection.execute(sa.insert(alerts).values(row).returning(alerts.c.id)).scalar_one())


def pending(connection: sa.Connection) -> list[Alert]:
    done: dict[int, list[str]] = {}
    for row in connection.execute(sa.select(receipts).order_by(receipts.c.channel)):
        done.setdefault(row.alert_id, []).append(row.channel)
    query = sa.select(alerts).where(alerts.c.done_at.is_(None)).order_by(alerts.c.id)
    return [_alert(row, tuple(done.get(row.id, ()))) for row in connection.execute(query)]


def mark_delivered(connection: sa.Connection, alert_id: int, channel: str, last: bool) -> None:
    held = sa.select(receipts).where((receipts.c.alert_id == alert_id) & (receipts.c.channel == channel))
    if connection.execute(held).one_or_none() is None:
        connection.execute(sa.insert(receipts).values(alert_id=alert_id, channel=channel, at=now()))
    if last:
        connection.execute(sa.update(alerts).where(alerts.c.id == alert_id).values(done_at=now()))


def mark_failed(connection: sa.Connection, alert_id: int, error: str) -> None:
    values = {"attempts": alerts.c.attempts + 1, "last_error": error[:500], "tried_at": now()}
    connection.execute(sa.update(alerts).where(alerts.c.id == alert_id).values(values))


def _alert(row: sa.Row[Any], done: tuple[str, ...]) -> Alert:
    return Alert(
        id=row.id, spec=row.spec, severity=row.severity, title=row.title, body=row.body, dedupe_key=row.dedupe_key,
        links=json.loads(row.links), created_at=row.created_at, attempts=row.attempts, last_error=row.last_error,
        tried_at=row.tried_at, channels_done=done,
    )  # fmt: skip
