"""The chain of events: each event's hash covers its content and the hash of the one before, so nothing can be changed unseen.

    payload_digest = SHA-256(canonical JSON of the payload)
    hash           = SHA-256(canonical JSON of {seq, kind, spec, actor, at, payload_digest, previous_hash})

The first event's previous_hash is 64 zeros. Anybody can check the chain with these two lines and no ftcore.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from ftcore.errors import IntegrityError
from ftcore.ledger.schema import events
from ftcore.records import canonical_json, digest_of

GENESIS = "0" * 64


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened."""

    seq: int
    """Position, from 1, without gaps."""
    kind: str
    spec: str
    actor: str
    """Who did it: a person's or a service's name."""
    at: str
    """When, ISO 8601 in UTC."""
    payload: Mapping[str, Any]
    previous_hash: str
    hash: str


def now() -> str:
    """The current time as the ledger writes it: ISO 8601, UTC, microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def event_hash(seq: int, kind: str, spec: str, actor: str, at: str, payload_digest: str, previous_hash: str) -> str:
    """Hash of one event; see the formula above."""
    return digest_of(
        {
            "seq": seq, "kind": kind, "spec": spec, "actor": actor, "at": at,
            "payload_digest": payload_digest, "previous_hash": previous_hash,
        }
    )  # fmt: skip


def append(connection: sa.Connection, kind: str, spec: str, payload: Mapping[str, Any], actor: str) -> Event:
    """Add an event after the last one, inside the caller's write transaction.

    Raises:
        IntegrityError: The last event does not match its own hash: the ledger was changed by hand.
        ValueError: The payload is not JSON (NaN, infinity).
    """
    last = connection.execute(sa.select(events).order_by(events.c.seq.desc()).limit(1)).one_or_none()
    if last is not None and (faults := row_faults(last)):
        raise IntegrityError(f"The ledger's last event is broken: {faults[0]}.", hint="ftcore audit verify")
    seq, previous = (last.seq + 1, last.hash) if last is not None else (1, GENESIS)
    text = canonical_json(dict(payload))
    at, payload_digest = now(), hashlib.sha256(text.encode()).hexdigest()
    own = event_hash(seq, kind, spec, actor, at, payload_digest, previous)
    row = {
        "seq": seq, "kind": kind, "spec": spec, "actor": actor, "at": at, "payload": text,
        "payload_digest": payload_digest, "previous_hash": previous, "hash": own,
    }  # fmt: skip
    connection.execute(sa.insert(events).values(row))
    return Event(
        seq=seq, kind=kind, spec=spec, actor=actor, at=at, payload=dict(payload), previous_hash=previous, hash=own
    )


def read(
    connection: sa.Connection,
    spec: str | None = None,
    kinds: Sequence[str] = (),
    after: int = 0,
    limit: int | None = None,
    newest_first: bool = False,
) -> list[Event]:
    """Events, oldest first unless asked; `after` is a position, `kinds` empty means all.

    Raises:
        IntegrityError: An event's payload is no longer JSON.
    """
    query = sa.select(events).where(events.c.seq > after)
    if spec is not None:
        query = query.where(events.c.spec == spec)
    if kinds:
        query = query.where(events.c.kind.in_(list(kinds)))
    query = query.order_by(events.c.seq.desc() if newest_first else events.c.seq)
    return [_event(row) for row in connection.execute(query.limit(limit) if limit is not None else query)]


def has_hash(connection: sa.Connection, wanted: str) -> bool:
    """Whether an event's hash begins with `wanted`."""
    query = sa.select(events.c.seq).where(events.c.hash.startswith(wanted, autoescape=True)).limit(1)
    return connection.execute(query).one_or_none() is not None


def _event(row: sa.Row[Any]) -> Event:
    try:
        payload = json.loads(row.payload)
    except ValueError:
        raise IntegrityError(
            f"Event {row.seq} is broken: its payload is not JSON.", hint="ftcore audit verify"
        ) from None
    return Event(
        seq=row.seq, kind=row.kind, spec=row.spec, actor=row.actor, at=row.at, payload=payload,
        previous_hash=row.previous_hash, hash=row.hash,
    )  # fmt: skip


def row_faults(row: sa.Row[Any]) -> list[str]:
    """What is wrong with one stored event by itself."""
    faults = []
    if hashlib.sha256(str(row.payload).encode()).hexdigest() != row.payload_digest:
        faults.append(f"event {row.seq} ({row.kind}, {row.spec}): its payload was changed")
    texts = [str(row._mapping[name]) for name in ("kind", "spec", "actor", "at", "payload_digest", "previous_hash")]
    if event_hash(row.seq, *texts) != row.hash:
        faults.append(f"event {row.seq} ({row.kind}, {row.spec}): its hash does not match its content")
    return faults


def walk(connection: sa.Connection, faults: list[str]) -> Iterator[Event]:
    """Every readable event in order; what is wrong with the chain is added to `faults` on the way."""
    previous, expected = GENESIS, 1
    for row in connection.execute(sa.select(events).order_by(events.c.seq)):
        if row.seq != expected:
            gone = f"event {expected}" if row.seq == expected + 1 else f"events {expected} to {row.seq - 1}"
            faults.append(f"{gone}: missing")
        elif row.previous_hash != previous:
            faults.append(f"event {row.seq} ({row.kind}, {row.spec}): does not follow from event {row.seq - 1}")
        faults += row_faults(row)
        previous, expected = row.hash, row.seq + 1
        try:
            yield _event(row)
        except IntegrityError:
            continue  # row_faults has named it
