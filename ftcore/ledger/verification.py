"""Check the whole ledger: the chain itself, then that every table says what the events say."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from ftcore.errors import IntegrityError
from ftcore.ledger import chain
from ftcore.ledger.chain import GENESIS, Event
from ftcore.ledger.schema import data_versions, heads, promotions, requests

_STATE_AFTER = {
    "promotion_prepared": "PREPARED", "promotion_committed": "COMMITTED", "promotion_applied": "APPLIED",
    "promotion_aborted": "ABORTED",
}  # fmt: skip
_STEPS = {  # promotion_* event -> states it may follow
    "promotion_prepared": (None, "ABORTED"),
    "promotion_committed": ("PREPARED",),
    "promotion_applied": ("COMMITTED", "APPLIED"),
    "promotion_aborted": ("PREPARED",),
}


@dataclass(frozen=True, kw_only=True)
class ChainReport:
    """Outcome of `Ledger.verify`."""

    num_events: int
    last_hash: str
    """Hash of the newest event. Written down elsewhere, it also proves later that nothing was cut off the end."""
    faults: tuple[str, ...]
    """One line per fault; each names its event, spec or promotion."""

    @property
    def ok(self) -> bool:
        return not self.faults

    def raise_for_faults(self) -> None:
        """Raise IntegrityError if there is a fault; all are listed."""
        if self.faults:
            raise IntegrityError("The ledger is broken:", details=self.faults, hint="restore it from a backup")


@dataclass
class _Replay:
    """State built from events alone."""

    heads: dict[str, tuple[int, str, str]] = field(default_factory=dict)  # spec -> (seq, model digest, package)
    promotions: dict[str, str] = field(default_factory=dict)  # id -> state
    requests: dict[str, str] = field(default_factory=dict)  # id -> state
    data: dict[int, tuple[str, str]] = field(default_factory=dict)  # seq -> (spec, digest)
    faults: list[str] = field(default_factory=list)

    def add(self, event: Event) -> None:
        payload = event.payload
        if event.kind in _STATE_AFTER:
            self._add_promotion(event, str(payload.get("promotion_id")))
        elif event.kind == "request_opened":
            self.requests[str(payload.get("request_id"))] = "OPEN"
        elif event.kind == "request_closed":
            self.requests[str(payload.get("request_id"))] = str(payload.get("state"))
        elif event.kind == "data_version":
            self.data[event.seq] = (event.spec, str(payload.get("digest")))

    def _add_promotion(self, event: Event, identity: str) -> None:
        before = self.promotions.get(identity)
        if before not in _STEPS[event.kind]:
            self.faults.append(
                f"event {event.seq} ({event.kind}): promotion {identity[:12]} was {before or 'not prepared'}"
            )
        self.promotions[identity] = _STATE_AFTER[event.kind]
        if event.kind != "promotion_committed":
            return
        previous = self.heads.get(event.spec)
        if (previous[0] if previous else 0) != event.payload.get("previous_seq"):
            self.faults.append(
                f"event {event.seq} (promotion_committed): replaced a champion that was not the expected one"
            )
        self.heads[event.spec] = (event.seq, str(event.payload["model_digest"]), str(event.payload["package_uri"]))


def verify(connection: sa.Connection) -> ChainReport:
    """Read every event once; memory grows with the number of promotions, not of events."""
    faults: list[str] = []
    if connection.dialect.name == "sqlite":
        rows = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(20)")]
        faults += [f"database file: {row}" for row in rows if row != "ok"]
    replay, number, last = _Replay(), 0, GENESIS
    for event in chain.walk(connection, faults):
        number, last = number + 1, event.hash
        try:
            replay.add(event)
        except (KeyError, TypeError, AttributeError):
            faults.append(f"event {event.seq} ({event.kind}): its payload lacks what this kind must hold")
    faults += replay.faults
    faults += _compare(connection, replay)
    return ChainReport(num_events=number, last_hash=last, faults=tuple(faults))


def _compare(connection: sa.Connection, replay: _Replay) -> list[str]:
    """Tables against the replay; a table row that no event explains was written by hand."""

    def rows(query: sa.Select[Any]) -> list[sa.Row[Any]]:
        return list(connection.execute(query))

    stored = {row.spec: (row.seq, row.model_digest, row.package_uri) for row in rows(sa.select(heads))}
    faults = _differences("head of", replay.heads, stored)
    states = {row.promotion_id: row.state for row in rows(sa.select(promotions))}
    faults += _differences("promotion", replay.promotions, states)
    faults += _differences(
        "retrain request", replay.requests, {r.request_id: r.state for r in rows(sa.select(requests))}
    )
    data = {row.seq: (row.spec, row.digest) for row in rows(sa.select(data_versions))}
    faults += _differences("data version of event", replay.data, data)
    for row in rows(sa.select(data_versions)):
        if not _same_ref(connection, row):
            faults.append(f"data version of event {row.seq}: the table's reference differs from the event's")
    return faults


def _same_ref(connection: sa.Connection, row: sa.Row[Any]) -> bool:
    event = chain.read(connection, after=row.seq - 1, limit=1)
    try:
        return bool(event) and event[0].payload.get("data") == json.loads(row.ref)
    except ValueError:
        return False


def _differences(what: str, wanted: dict[Any, Any], seen: dict[Any, Any]) -> list[str]:
    return [
        f"{what} {str(key)[:40]}: the table says {seen.get(key)}, the events say {wanted.get(key)}"
        for key in sorted(wanted.keys() | seen.keys(), key=str)
        if wanted.get(key) != seen.get(key)
    ]
