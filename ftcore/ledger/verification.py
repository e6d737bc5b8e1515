"""Check the whole ledger: the chain itself, then that every table says what the events say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from ftcore.errors import IntegrityError
from ftcore.ledger import chain
from ftcore.ledger.chain import GENESIS, Event
from ftcore.ledger.schema import data_versions, fences, heads, promotions, requests
from ftcore.records import canonical_json

_Rows = dict[Any, dict[str, Any]]

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
_COMMITTED = ("model_digest", "package_uri", "verdict_digest")
_PREPARED = (*_COMMITTED, "intent", "expected_digest", "expected_seq", "reason")


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
    """The tables as they follow from events alone: by primary key, every column that a decision reads."""

    heads: _Rows = field(default_factory=dict)
    promotions: _Rows = field(default_factory=dict)
    requests: _Rows = field(default_factory=dict)
    data: _Rows = field(default_factory=dict)
    fences: dict[str, int] = field(default_factory=dict)
    """Spec -> the highest fencing token that an event shows."""
    faults: list[str] = field(default_factory=list)

    def add(self, event: Event) -> None:
        payload = event.payload
        if event.kind in _STATE_AFTER:
            self._add_promotion(event, str(payload["promotion_id"]))
        elif event.kind == "request_opened":
            opened = {name: payload[name] for name in ("reason", "dedupe_key")}
            opened |= {"spec": event.spec, "opened_at": event.at, "state": "OPEN", "data": None, "closed_at": None}
            self.requests[payload["request_id"]] = opened
        elif event.kind == "request_data":
            self.requests[payload["request_id"]]["data"] = canonical_json(payload["data"])
        elif event.kind == "request_closed":
            closed = {"state": payload["state"], "note": payload["note"], "closed_at": event.at}
            self.requests[payload["request_id"]] |= closed
        elif event.kind == "data_version":
            version = {name: payload[name] for name in ("digest", "num_rows")}
            self.data[event.seq] = {"spec": event.spec, "ref": canonical_json(payload["data"]), **version}

    def _add_promotion(self, event: Event, identity: str) -> None:
        known = self.promotions.get(identity, {})
        before = known.get("state")
        if before not in _STEPS[event.kind]:
            self.faults.append(
                f"event {event.seq} ({event.kind}): promotion {identity[:12]} was {before or 'not prepared'}"
            )
        now = {**known, "state": _STATE_AFTER[event.kind]}
        self.promotions[identity] = now
        if event.kind == "promotion_applied":
            now["mlflow_version"] = event.payload["mlflow_version"]
            return
        now["seq"] = event.seq
        if event.kind == "promotion_prepared":
            now |= {"mlflow_version": None, "actor": event.actor, "spec": event.spec}
            now |= {name: event.payload[name] for name in _PREPARED}
            self._see_fence(event)
        elif event.kind == "promotion_committed":
            self._move_head(event, identity, now)
            self._see_fence(event)

    def _move_head(self, event: Event, identity: str, promotion: dict[str, Any]) -> None:
        previous = self.heads.get(event.spec)
        if (previous["seq"] if previous else 0) != event.payload["previous_seq"]:
            self.faults.append(
                f"event {event.seq} (promotion_committed): replaced a champion that was not the expected one"
            )
        for name in _COMMITTED:  # a promotion changed in the table before its commit shows here
            if event.payload[name] != promotion.get(name):
                self.faults.append(f"event {event.seq} (promotion_committed): {name} is not the one prepared")
        self.heads[event.spec] = {name: event.payload[name] for name in (*_COMMITTED, "fence")} | {
            "seq": event.seq, "promotion_id": identity, "since": event.at,
        }  # fmt: skip

    def _see_fence(self, event: Event) -> None:
        self.fences[event.spec] = max(int(event.payload["fence"]), self.fences.get(event.spec, 0))


def verify(connection: sa.Connection) -> ChainReport:
    """Read every event once; memory grows with the number of promotions, requests and data versions, not of events."""
    faults: list[str] = []
    if connection.dialect.name == "sqlite":
        rows = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(20)")]
        faults += [f"database file: {row}" for row in rows if row != "ok"]
    replay, number, last = _Replay(), 0, GENESIS
    for event in chain.walk(connection, faults):
        number, last = number + 1, event.hash
        try:
            replay.add(event)
        except (KeyError, TypeError, ValueError, AttributeError):
            faults.append(f"event {event.seq} ({event.kind}): its payload lacks what this kind must hold")
    faults += replay.faults
    faults += _compare(connection, replay)
    return ChainReport(num_events=number, last_hash=last, faults=tuple(faults))


def _compare(connection: sa.Connection, replay: _Replay) -> list[str]:
    """Tables against the replay; a table row that no event explains was written by hand."""
    faults = _differences(connection, "head of", heads.c.spec, replay.heads)
    faults += _differences(connection, "promotion", promotions.c.promotion_id, replay.promotions)
    faults += _differences(connection, "retrain request", requests.c.request_id, replay.requests)
    faults += _differences(connection, "data version of event", data_versions.c.seq, replay.data)
    seen = {row.spec: row.seen for row in connection.execute(sa.select(fences))}
    for spec, highest in sorted(replay.fences.items()):
        # A token that was refused or acted again leaves no event, so `seen` may be higher.
        if seen.get(spec, 0) < highest:
            faults.append(f"fence of {spec}: the table has seen {seen.get(spec, 0)}, the events say {highest}")
    return faults


def _differences(connection: sa.Connection, what: str, key: sa.Column[Any], wanted: _Rows) -> list[str]:
    stored = {row[key.name]: row for row in connection.execute(sa.select(key.table)).mappings()}
    faults = [f"{what} {str(name)[:40]}: no event explains it" for name in stored.keys() - wanted.keys()]
    for name, row in wanted.items():
        if name not in stored:
            faults.append(f"{what} {str(name)[:40]}: missing from the table")
            continue
        faults += [
            f"{what} {str(name)[:40]}: {column}: the table says {stored[name][column]}, the events say {value}"
            for column, value in row.items()
            if stored[name][column] != value
        ]
    return sorted(faults)
