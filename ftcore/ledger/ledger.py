"""`Ledger`: what the rest of ftcore calls. Each method is one transaction, and each may be repeated."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Self

from ftcore.ledger import chain, heads, outbox, retraining, verification
from ftcore.ledger.chain import Event
from ftcore.ledger.database import Database
from ftcore.ledger.heads import Head, Intent
from ftcore.ledger.outbox import Alert
from ftcore.ledger.verification import ChainReport
from ftcore.records import DataRef, Promotion, Released, RetrainRequest
from ftcore.store import ftcore_home

SERVICE = "ftcore"
"""Actor of what ftcore does by itself."""
RELEASED = "quarantine_released"
GATE_RULES, HOLDOUT_SCORED, GATE_DECISION = "gate_rules", "holdout_scored", "gate_decision"
"""What decides a promotion, before a training (pipeline/rules.py); that a candidate has scores, and a verdict, after it
(pipeline/decisions.py)."""


def open_ledger(url: str | None = None) -> Ledger:
    """Open the ledger, migrating its schema when needed.

    Args:
        url: Database URL (sqlite or postgresql); default `$FTCORE_LEDGER_URL`, else `ledger.db` in FTCORE_HOME.

    Raises:
        UsageError: The URL cannot be used, or the schema is newer than this ftcore.
        ServiceUnavailable: The database does not answer.
        StorageError: The file cannot be written.
    """
    return Ledger(url or os.environ.get("FTCORE_LEDGER_URL") or f"sqlite:///{ftcore_home() / 'ledger.db'}")


class Ledger:
    """The events and the states that follow from them; a context manager that closes its connections.

    All methods raise ServiceUnavailable when the database does not answer, StorageError when it cannot write (nothing
    changes then), IntegrityError when what is stored is broken.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._database.engine.dispose()

    @property
    def url(self) -> str:
        """Where it lives; a password is hidden."""
        return self._database.shown_url

    def append(self, kind: str, spec: str, payload: Mapping[str, Any], actor: str) -> Event:
        """Add an event to the chain."""
        with self._database.writing() as connection:
            return chain.append(connection, kind, spec, payload, actor)

    def events(
        self,
        spec: str | None = None,
        kinds: Sequence[str] = (),
        after: int = 0,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> list[Event]:
        """Events of a spec (None: of all), of these kinds (empty: all), at positions above `after`; at most `limit`."""
        with self._database.reading() as connection:
            return chain.read(connection, spec, kinds, after, limit, newest_first)

    def has_hash(self, wanted: str) -> bool:
        """Whether the chain holds the event with this hash (or beginning of a hash)."""
        with self._database.reading() as connection:
            return chain.has_hash(connection, wanted)

    def verify(self) -> ChainReport:
        """Check every event's hash and link, and every table against the events."""
        with self._database.reading() as connection:
            return verification.verify(connection)

    # champions ------------------------------------------------------------------------------------------------------

    def head(self, spec: str) -> Head | None:
        """The champion, or None before the first promotion."""
        with self._database.reading() as connection:
            return heads.head(connection, spec)

    def heads(self) -> list[Head]:
        """All champions, by spec name."""
        with self._database.reading() as connection:
            return heads.all_heads(connection)

    def issue_fence(self, spec: str) -> int:
        """A new fencing token: higher than all issued before for this spec."""
        with self._database.writing() as connection:
            return heads.issue_fence(connection, spec)

    def prepare(
        self,
        *,
        spec: str,
        model_digest: str,
        verdict_digest: str,
        expected_digest: str | None,
        expected_seq: int,
        package_uri: str,
        fence: int,
        actor: str,
        reason: str,
        intent: Intent = "promotion",
    ) -> Promotion:
        """Write down the intention to replace the champion `expected_digest` (None: there is none, `expected_seq` 0).

        Raises:
            StaleChampion: Another model is champion now, or the fencing token is old.
        """
        identity = heads.promotion_id(spec, model_digest, verdict_digest, expected_seq)
        wanted = {
            "promotion_id": identity, "spec": spec, "intent": intent, "model_digest": model_digest,
            "verdict_digest": verdict_digest, "expected_digest": expected_digest, "expected_seq": expected_seq,
            "package_uri": package_uri, "fence": fence, "actor": actor, "reason": reason,
        }  # fmt: skip
        with self._database.writing() as connection:
            heads.prepare(connection, wanted)
            return heads.record(connection, identity)

    def commit(self, promotion_id: str, fence: int) -> Promotion:
        """Make it champion: compare-and-set on the head, event and head in one transaction.

        Raises:
            StaleChampion: Another model is champion now, or the fencing token is old. The promotion stays PREPARED; abort it.
            PromotionRefused: It was aborted or never prepared.
        """
        with self._database.writing() as connection:
            heads.commit(connection, promotion_id, fence)
            return heads.record(connection, promotion_id)

    def mark_applied(self, promotion_id: str, mlflow_version: str) -> Promotion:
        """Note that MLflow shows it, as this version of the registered model."""
        with self._database.writing() as connection:
            heads.mark_applied(connection, promotion_id, mlflow_version)
            return heads.record(connection, promotion_id)

    def abort(self, promotion_id: str, reason: str) -> Promotion:
        """Give up a promotion that is PREPARED.

        Raises:
            PromotionRefused: It is committed already.
        """
        with self._database.writing() as connection:
            heads.abort(connection, promotion_id, reason)
            return heads.record(connection, promotion_id)

    def promotion(self, promotion_id: str) -> Promotion | None:
        """One promotion as it stands now."""
        with self._database.reading() as connection:
            row = heads.find(connection, promotion_id)
            return heads.to_record(row) if row is not None else None

    def unfinished(self, spec: str | None = None) -> list[Promotion]:
        """Promotions that are PREPARED or COMMITTED, oldest first: what a crash may have left."""
        with self._database.reading() as connection:
            return [heads.to_record(row) for row in heads.select(connection, spec, ("PREPARED", "COMMITTED"))]

    def history(self, spec: str) -> list[Promotion]:
        """Everything that ever became champion, oldest first; a rollback is an entry of its own."""
        with self._database.reading() as connection:
            return [heads.to_record(row) for row in heads.select(connection, spec, ("COMMITTED", "APPLIED"))]

    # retraining -----------------------------------------------------------------------------------------------------

    def open_request(
        self, spec: str, reason: str, dedupe_key: str, actor: str = SERVICE
    ) -> tuple[RetrainRequest, bool]:
        """Ask for a retraining. Returns the request and whether it is new: a spec has at most one open request, and one
        `dedupe_key` (for example the digest of the drifted window) opens one request, ever."""
        with self._database.writing() as connection:
            return retraining.open_request(connection, spec, reason, dedupe_key, actor)

    def request(self, spec: str) -> RetrainRequest | None:
        """The spec's open request."""
        with self._database.reading() as connection:
            return retraining.request(connection, spec)

    def attach_data(self, request_id: str, data: DataRef, actor: str = SERVICE) -> RetrainRequest:
        """Say which data version answers the request: from now on retraining may start."""
        with self._database.writing() as connection:
            return retraining.attach_data(connection, request_id, data, actor)

    def close_request(self, request_id: str, state: str, note: str, actor: str = SERVICE) -> RetrainRequest:
        """End a request as DONE or CLOSED."""
        with self._database.writing() as connection:
            return retraining.close_request(connection, request_id, state, note, actor)

    def record_data_version(self, spec: str, data: DataRef, digest: str, num_rows: int, actor: str = SERVICE) -> None:
        """Note a data version as the newest of this spec. `digest` is that of its files; recording it twice changes nothing."""
        with self._database.writing() as connection:
            retraining.record_data_version(connection, spec, data, digest, num_rows, actor)

    def current_data(self, spec: str) -> DataRef | None:
        """The newest recorded data version."""
        with self._database.reading() as connection:
            return retraining.current_data(connection, spec)

    # quarantine -----------------------------------------------------------------------------------------------------

    def release_rows(self, spec: str, rows: Sequence[Mapping[str, str]], because: str, actor: str) -> Event:
        """Note that rows may be used in spite of what a rule thinks of them.

        Args:
            rows: {id, digest, reason} of each; never their text.
            because: Why, in the words of whoever looked at them.
        """
        return self.append(RELEASED, spec, {"rows": [dict(row) for row in rows], "because": because}, actor)

    def releases(self, spec: str) -> list[Event]:
        """Who released which rows when and why, oldest first; payload as of `release_rows`."""
        return self.events(spec, (RELEASED,))

    def released(self, spec: str) -> Released | None:
        """Every row that was ever released for this spec; None if none was."""
        events = self.releases(spec)
        digests = {str(row["digest"]) for event in events for row in event.payload["rows"]}
        return Released(rows=tuple(sorted(digests))) if digests else None

    # alerts ---------------------------------------------------------------------------------------------------------

    def enqueue_alert(
        self, spec: str, severity: str, title: str, body: str, dedupe_key: str, links: Mapping[str, str] | None = None
    ) -> int | None:
        """Put an alert (`info`, `warning`, `critical`) into the outbox; None if this `dedupe_key` was ever used."""
        values = {"spec": spec, "severity": severity, "title": title, "body": body, "dedupe_key": dedupe_key}
        with self._database.writing() as connection:
            return outbox.enqueue(connection, values, links or {})

    def pending_alerts(self) -> list[Alert]:
        """Alerts not delivered everywhere yet, oldest first."""
        with self._database.reading() as connection:
            return outbox.pending(connection)

    def mark_delivered(self, alert_id: int, channel: str, *, last: bool = True) -> None:
        """Note a receipt. `last=False`: further channels are still to get it, so it stays pending."""
        with self._database.writing() as connection:
            outbox.mark_delivered(connection, alert_id, channel, last)

    def mark_failed(self, alert_id: int, error: str) -> None:
        """Note a failed delivery; the alert stays pending."""
        with self._database.writing() as connection:
            outbox.mark_failed(connection, alert_id, error)
