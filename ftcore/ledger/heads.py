"""Who is champion: heads, fencing tokens, and the promotion state machine.

    PREPARED ──commit──> COMMITTED ──MLflow written, read back──> APPLIED
        └────abort─────> ABORTED

The head moves in the same transaction that appends the `promotion_committed` event, and only if it still is what the candidate
was compared with (compare-and-set on digest and position). Every function here runs inside the caller's write transaction, and
repeating any of them changes nothing.

A fencing token is an integer that the ledger issues, growing per spec. A promotion takes one when it starts. Once the ledger has
seen a token, lower ones are refused: a process that slept through another's promotion cannot act on what it knew before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from ftcore.errors import IntegrityError, PromotionRefused, StaleChampion
from ftcore.ledger import chain
from ftcore.ledger.schema import fences, heads, promotions
from ftcore.records import Promotion, digest_of

Intent = Literal["promotion", "rollback"]


@dataclass(frozen=True, kw_only=True)
class Head:
    """The champion of one spec."""

    spec: str
    seq: int
    """Position of the event that made it champion."""
    model_digest: str
    package_uri: str
    promotion_id: str
    verdict_digest: str
    fence: int
    since: str


def promotion_id(spec: str, model_digest: str, verdict_digest: str, expected_seq: int) -> str:
    """Identity of a promotion: the same candidate on the same evidence over the same champion is the same promotion."""
    return digest_of({"spec": spec, "model": model_digest, "verdict": verdict_digest, "expected_seq": expected_seq})


def head(connection: sa.Connection, spec: str) -> Head | None:
    row = connection.execute(sa.select(heads).where(heads.c.spec == spec)).one_or_none()
    return Head(**row._mapping) if row is not None else None


def all_heads(connection: sa.Connection) -> list[Head]:
    return [Head(**row._mapping) for row in connection.execute(sa.select(heads).order_by(heads.c.spec))]


def issue_fence(connection: sa.Connection, spec: str) -> int:
    issued = connection.execute(sa.select(fences.c.issued).where(fences.c.spec == spec)).scalar_one_or_none()
    if issued is None:
        connection.execute(sa.insert(fences).values(spec=spec, issued=1, seen=0))
        return 1
    connection.execute(sa.update(fences).where(fences.c.spec == spec).values(issued=issued + 1))
    return int(issued) + 1


def check_fence(connection: sa.Connection, spec: str, fence: int) -> None:
    """Refuse a token lower than one seen before; remember this one.

    Raises:
        StaleChampion: The token is old.
        IntegrityError: The ledger never issued it.
    """
    row = connection.execute(sa.select(fences).where(fences.c.spec == spec)).one_or_none()
    if row is None or fence > row.issued:
        raise IntegrityError(f"Fencing token {fence} of {spec} was never issued; wanted one from issue_fence().")
    if fence < row.seen:
        message = f"Fencing token {fence} of {spec} is old: {row.seen} has acted since. Another promotion has overtaken this one."
        raise StaleChampion(message, hint="judge the candidate again against the champion of now")
    connection.execute(sa.update(fences).where(fences.c.spec == spec).values(seen=fence))


def check_head(connection: sa.Connection, spec: str, expected_digest: str | None, expected_seq: int) -> None:
    """The compare of compare-and-set.

    Raises:
        StaleChampion: The champion is not the expected one; both are named.
    """
    now = head(connection, spec)
    seen = (now.model_digest, now.seq) if now is not None else (None, 0)
    if seen != (expected_digest, expected_seq):
        wanted = f"{expected_digest[:12]} (event {expected_seq})" if expected_digest else "none"
        found = f"{now.model_digest[:12]} (event {now.seq})" if now is not None else "none"
        message = f"The champion of {spec} is {found}; this candidate was compared with {wanted}."
        raise StaleChampion(message, hint=f"ftcore champion history {spec}; then run the pipeline again")


def find(connection: sa.Connection, identity: str) -> sa.Row[Any] | None:
    return connection.execute(sa.select(promotions).where(promotions.c.promotion_id == identity)).one_or_none()


def record(connection: sa.Connection, identity: str) -> Promotion:
    return to_record(_known(connection, identity))


def to_record(row: sa.Row[Any]) -> Promotion:
    return Promotion(
        spec=row.spec, promotion_id=row.promotion_id, model_digest=row.model_digest, previous_digest=row.expected_digest,
        verdict_digest=row.verdict_digest, seq=row.seq, state=row.state, package_uri=row.package_uri,
        mlflow_version=row.mlflow_version,
    )  # fmt: skip


def prepare(connection: sa.Connection, wanted: dict[str, Any]) -> None:
    """Write down the intention. A promotion that was aborted may be prepared again; one that is further on stays as it is."""
    row = find(connection, wanted["promotion_id"])
    if row is not None and row.state in ("COMMITTED", "APPLIED"):
        return
    check_fence(connection, wanted["spec"], wanted["fence"])
    check_head(connection, wanted["spec"], wanted["expected_digest"], wanted["expected_seq"])
    if row is not None and row.state == "PREPARED":
        _update(connection, row.promotion_id, fence=wanted["fence"])
        return
    event = chain.append(connection, "promotion_prepared", wanted["spec"], wanted, wanted["actor"])
    if row is not None:
        _update(connection, row.promotion_id, **wanted, state="PREPARED", seq=event.seq)
    else:
        connection.execute(sa.insert(promotions).values(**wanted, state="PREPARED", seq=event.seq))


def commit(connection: sa.Connection, identity: str, fence: int) -> None:
    """Move the head: one event, one new head, or StaleChampion."""
    row = _known(connection, identity)
    if row.state in ("COMMITTED", "APPLIED"):
        return
    if row.state == "ABORTED":
        raise PromotionRefused(f"Promotion {identity[:12]} of {row.spec} was aborted.", hint="promote again")
    check_fence(connection, row.spec, fence)
    check_head(connection, row.spec, row.expected_digest, row.expected_seq)
    payload = {
        "promotion_id": identity, "intent": row.intent, "model_digest": row.model_digest, "fence": fence,
        "previous_digest": row.expected_digest, "previous_seq": row.expected_seq, "verdict_digest": row.verdict_digest,
        "package_uri": row.package_uri, "reason": row.reason,
    }  # fmt: skip
    event = chain.append(connection, "promotion_committed", row.spec, payload, row.actor)
    values = {
        "seq": event.seq, "model_digest": row.model_digest, "package_uri": row.package_uri, "promotion_id": identity,
        "verdict_digest": row.verdict_digest, "fence": fence, "since": event.at,
    }  # fmt: skip
    if head(connection, row.spec) is None:
        connection.execute(sa.insert(heads).values(spec=row.spec, **values))
    else:
        connection.execute(sa.update(heads).where(heads.c.spec == row.spec).values(**values))
    _update(connection, identity, state="COMMITTED", seq=event.seq, fence=fence)


def mark_applied(connection: sa.Connection, identity: str, mlflow_version: str) -> None:
    """Note that MLflow shows this promotion, as version `mlflow_version`."""
    row = _known(connection, identity)
    if row.state == "APPLIED" and row.mlflow_version == mlflow_version:
        return
    if row.state not in ("COMMITTED", "APPLIED"):
        raise PromotionRefused(f"Promotion {identity[:12]} of {row.spec} is {row.state}; wanted COMMITTED.")
    payload = {"promotion_id": identity, "model_digest": row.model_digest, "mlflow_version": mlflow_version}
    chain.append(connection, "promotion_applied", row.spec, payload, row.actor)
    _update(connection, identity, state="APPLIED", mlflow_version=mlflow_version)


def abort(connection: sa.Connection, identity: str, reason: str) -> None:
    """Give up a promotion that was not committed."""
    row = _known(connection, identity)
    if row.state == "ABORTED":
        return
    if row.state != "PREPARED":
        message = f"Promotion {identity[:12]} of {row.spec} is {row.state} already: it cannot be aborted."
        raise PromotionRefused(message, hint=f"ftcore champion rollback {row.spec}")
    payload = {"promotion_id": identity, "model_digest": row.model_digest, "reason": reason}
    event = chain.append(connection, "promotion_aborted", row.spec, payload, row.actor)
    _update(connection, identity, state="ABORTED", seq=event.seq)


def select(connection: sa.Connection, spec: str | None, states: tuple[str, ...]) -> list[sa.Row[Any]]:
    """Promotions in these states, in the order of their last event."""
    query = sa.select(promotions).where(promotions.c.state.in_(states)).order_by(promotions.c.seq)
    if spec is not None:
        query = query.where(promotions.c.spec == spec)
    return list(connection.execute(query))


def _known(connection: sa.Connection, identity: str) -> sa.Row[Any]:
    row = find(connection, identity)
    if row is None:
        raise PromotionRefused(f"The ledger knows no promotion {identity[:12]}.", hint="prepare it first")
    return row


def _update(connection: sa.Connection, identity: str, **values: Any) -> None:
    connection.execute(sa.update(promotions).where(promotions.c.promotion_id == identity).values(**values))
