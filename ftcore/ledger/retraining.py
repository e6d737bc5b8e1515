"""Retrain requests and data versions: what monitoring asks for, and which data the next training run takes.

Every function runs inside the caller's transaction.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from ftcore.errors import UsageError
from ftcore.ledger import chain
from ftcore.ledger.schema import data_versions, requests
from ftcore.records import DataRef, RetrainRequest, canonical_json, digest_of


def open_request(
    connection: sa.Connection, spec: str, reason: str, dedupe_key: str, actor: str
) -> tuple[RetrainRequest, bool]:
    """The spec's open request, or a new one. A `dedupe_key` opens a request once, ever: the same alarm seen again is no news."""
    for condition in ((requests.c.spec == spec) & (requests.c.state == "OPEN"), requests.c.dedupe_key == dedupe_key):
        if (row := connection.execute(sa.select(requests).where(condition)).one_or_none()) is not None:
            return _request(row), False
    identity = digest_of({"spec": spec, "dedupe_key": dedupe_key})[:32]
    payload = {"request_id": identity, "reason": reason, "dedupe_key": dedupe_key}
    event = chain.append(connection, "request_opened", spec, payload, actor)
    row_values = {**payload, "spec": spec, "opened_at": event.at, "state": "OPEN"}
    connection.execute(sa.insert(requests).values(row_values))
    return _request(_find(connection, identity)), True


def request(connection: sa.Connection, spec: str) -> RetrainRequest | None:
    condition = (requests.c.spec == spec) & (requests.c.state == "OPEN")
    row = connection.execute(sa.select(requests).where(condition)).one_or_none()
    return _request(row) if row is not None else None


def attach_data(connection: sa.Connection, request_id: str, ref: DataRef, actor: str) -> RetrainRequest:
    row = _find(connection, request_id)
    text = canonical_json(asdict(ref))
    if row.data == text:
        return _request(row)
    if row.state != "OPEN":
        raise UsageError(f"Retrain request {request_id} of {row.spec} is {row.state}; wanted OPEN.")
    chain.append(connection, "request_data", row.spec, {"request_id": request_id, "data": asdict(ref)}, actor)
    connection.execute(sa.update(requests).where(requests.c.request_id == request_id).values(data=text))
    return _request(_find(connection, request_id))


def close_request(connection: sa.Connection, request_id: str, state: str, note: str, actor: str) -> RetrainRequest:
    """End a request: DONE (a retraining answered it) or CLOSED (nobody wants it any more). Closed ones stay as they are."""
    row = _find(connection, request_id)
    if state not in ("DONE", "CLOSED"):
        raise UsageError(f"A retrain request cannot end as {state!r}; wanted DONE or CLOSED.")
    if row.state == "OPEN":
        payload = {"request_id": request_id, "state": state, "note": note}
        event = chain.append(connection, "request_closed", row.spec, payload, actor)
        values = {"state": state, "note": note, "closed_at": event.at}
        connection.execute(sa.update(requests).where(requests.c.request_id == request_id).values(values))
    return _request(_find(connection, request_id))


def record_data_version(
    connection: sa.Connection, spec: str, ref: DataRef, digest: str, num_rows: int, actor: str
) -> None:
    text = canonical_json(asdict(ref))
    newest = _newest(connection, spec)
    if newest is not None and (newest.ref, newest.digest) == (text, digest):
        return
    payload = {"data": asdict(ref), "digest": digest, "num_rows": num_rows}
    event = chain.append(connection, "data_version", spec, payload, actor)
    values = {"seq": event.seq, "spec": spec, "ref": text, "digest": digest, "num_rows": num_rows, "at": event.at}
    connection.execute(sa.insert(data_versions).values(values))


def current_data(connection: sa.Connection, spec: str) -> DataRef | None:
    newest = _newest(connection, spec)
    return DataRef(**json.loads(newest.ref)) if newest is not None else None


def _newest(connection: sa.Connection, spec: str) -> sa.Row[Any] | None:
    query = sa.select(data_versions).where(data_versions.c.spec == spec).order_by(data_versions.c.seq.desc()).limit(1)
    return connection.execute(query).one_or_none()


def _find(connection: sa.Connection, request_id: str) -> sa.Row[Any]:
    row = connection.execute(sa.select(requests).where(requests.c.request_id == request_id)).one_or_none()
    if row is None:
        raise UsageError(f"The ledger knows no retrain request {request_id!r}.", hint="ftcore status")
    return row


def _request(row: sa.Row[Any]) -> RetrainRequest:
    return RetrainRequest(
        request_id=row.request_id, spec=row.spec, reason=row.reason, opened_at=row.opened_at, state=row.state,
        data=DataRef(**json.loads(row.data)) if row.data else None,
    )  # fmt: skip
