"""Nothing in the ledger can be changed unseen: every tampering is found and named."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from ftcore.errors import IntegrityError, StorageError
from ftcore.ledger import open_ledger
from ftcore.ledger.chain import GENESIS, event_hash
from ftcore.records import DataRef, digest_of


@pytest.fixture
def database(home: Path) -> Path:
    """A small ledger with one of everything; returns its file."""
    with open_ledger() as ledger:
        ledger.append("note", "intents", {"text": "größe"}, "ada")
        fence = ledger.issue_fence("intents")
        promotion = ledger.prepare(
            spec="intents", model_digest="m1", verdict_digest="v", expected_digest=None, expected_seq=0,
            package_uri="packages/m1", fence=fence, actor="ada", reason="first",
        )  # fmt: skip
        ledger.commit(promotion.promotion_id, fence)
        ledger.record_data_version("intents", DataRef(repo=None, rev="r", path="p"), "d", 5)
        request, _ = ledger.open_request("intents", "drift", "key")
        ledger.attach_data(request.request_id, DataRef(repo=None, rev="r2", path="p"))
        assert ledger.verify().ok
    return home / "ledger.db"


def tamper(path: Path, statement: str) -> None:
    """As an intruder with write access would: remove the triggers, then change."""
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TRIGGER events_no_update")
        connection.execute("DROP TRIGGER events_no_delete")
        connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE events SET payload = replace(payload, 'm1', 'm') WHERE seq = 3", "event 3 (promotion_committed, intents)"),
        ("UPDATE events SET payload = CAST(x'ff' AS TEXT) WHERE seq = 1", "event 1 (note, intents): its payload was changed"),
        ("UPDATE events SET actor = 'eve' WHERE seq = 2", "event 2 (promotion_prepared, intents): its hash"),
        ("UPDATE events SET at = '2020' WHERE seq = 1", "event 1 (note, intents): its hash"),
        ("UPDATE events SET kind = 'nota' WHERE seq = 1", "event 1 (nota, intents): its hash"),
        ("UPDATE events SET hash = substr(hash, 2) || '-' WHERE seq = 1", "event 1 (note, intents): its hash"),
        ("UPDATE events SET previous_hash = hash WHERE seq = 4", "event 4 (data_version, intents): does not follow from event 3"),
        ("DELETE FROM events WHERE seq = 1", "event 1: missing"),
        ("UPDATE heads SET model_digest = 'm9'", "head of intents: model_digest: the table says m9, the events say m1"),
        ("UPDATE heads SET package_uri = 'packages/m9'", "head of intents: package_uri: the table says packages/m9"),
        ("UPDATE heads SET promotion_id = 'p9'", "head of intents: promotion_id: the table says p9"),
        ("UPDATE heads SET verdict_digest = 'w'", "head of intents: verdict_digest: the table says w, the events say v"),
        ("UPDATE heads SET fence = 9", "head of intents: fence: the table says 9, the events say 1"),
        ("UPDATE heads SET since = '2020'", "head of intents: since: the table says 2020"),
        ("UPDATE promotions SET model_digest = 'm9'", "model_digest: the table says m9, the events say m1"),
        ("UPDATE promotions SET package_uri = 'packages/m9'", "package_uri: the table says packages/m9, the events say"),
        ("UPDATE promotions SET verdict_digest = 'w'", "verdict_digest: the table says w, the events say v"),
        ("UPDATE promotions SET expected_digest = 'm0'", "expected_digest: the table says m0, the events say None"),
        ("UPDATE promotions SET expected_seq = 1", "expected_seq: the table says 1, the events say 0"),
        ("UPDATE promotions SET intent = 'rollback'", "intent: the table says rollback, the events say promotion"),
        ("UPDATE promotions SET spec = 'other'", "spec: the table says other, the events say intents"),
        ("UPDATE promotions SET seq = 1", "seq: the table says 1, the events say 3"),
        ("UPDATE promotions SET mlflow_version = '9'", "mlflow_version: the table says 9, the events say None"),
        ("UPDATE promotions SET promotion_id = 'p9'", "promotion p9: no event explains it"),
        ("UPDATE fences SET seen = 0", "fence of intents: the table has seen 0, the events say 1"),
        ("UPDATE promotions SET state = 'APPLIED'", "the table says APPLIED, the events say COMMITTED"),
        ("UPDATE retrain_requests SET state = 'DONE'", "the table says DONE, the events say OPEN"),
        ("UPDATE retrain_requests SET data = replace(data, 'r2', 'r9')", "retrain request "),
        ("UPDATE retrain_requests SET spec = 'other'", "spec: the table says other, the events say intents"),
        ("UPDATE retrain_requests SET dedupe_key = 'k'", "dedupe_key: the table says k, the events say key"),
        ("UPDATE data_versions SET digest = 'x'", "data version of event 4"),
        ("UPDATE data_versions SET ref = replace(ref, 'p', 'q')", "data version of event 4"),
        ("DELETE FROM heads", "head of intents: missing from the table"),
    ],
)  # fmt: skip
def test_tampering_is_named(database: Path, statement: str, named: str) -> None:
    tamper(database, statement)
    with open_ledger() as ledger:
        report = ledger.verify()
    assert any(named in fault for fault in report.faults), report.faults
    with pytest.raises(IntegrityError, match="The ledger is broken"):
        report.raise_for_faults()


def test_a_promotion_changed_before_its_commit_shows_in_the_event(home: Path) -> None:
    with open_ledger() as ledger:
        fence = ledger.issue_fence("intents")
        promotion = ledger.prepare(
            spec="intents", model_digest="m1", verdict_digest="v", expected_digest=None, expected_seq=0,
            package_uri="packages/m1", fence=fence, actor="ada", reason="first",
        )  # fmt: skip
        tamper(home / "ledger.db", "UPDATE promotions SET package_uri = 'packages/m9'")
        ledger.commit(promotion.promotion_id, fence)
        assert "event 2 (promotion_committed): package_uri is not the one prepared" in ledger.verify().faults


def test_every_flipped_byte_of_an_event_is_found(database: Path) -> None:
    columns = ("kind", "spec", "actor", "at", "payload", "payload_digest", "previous_hash", "hash")
    plain = sqlite3.connect(database)
    plain.execute("DROP TRIGGER events_no_update")
    with open_ledger() as ledger:
        for column in columns:
            [text] = plain.execute(f"SELECT CAST({column} AS BLOB) FROM events WHERE seq = 2").fetchone()
            for position in range(0, len(text), max(1, len(text) // 6)):
                flipped = bytearray(text)
                flipped[position] ^= 1
                update = f"UPDATE events SET {column} = CAST(? AS TEXT) WHERE seq = 2"
                plain.execute(update, (bytes(flipped),))
                plain.commit()
                assert any("event 2" in fault for fault in ledger.verify().faults), (column, position)
                plain.execute(update, (text,))
                plain.commit()
        assert ledger.verify().ok


def test_rewritten_tail_is_found_by_a_hash_kept_elsewhere(database: Path) -> None:
    with open_ledger() as ledger:
        kept = ledger.verify().last_hash
    tamper(database, "DELETE FROM events WHERE seq >= 5")
    with sqlite3.connect(database) as connection:
        connection.execute("DELETE FROM retrain_requests")  # cut off cleanly: the chain alone cannot show it
    with open_ledger() as ledger:
        assert ledger.verify().ok
        assert not ledger.has_hash(kept)


def test_a_broken_tail_is_not_built_upon(database: Path) -> None:
    tamper(database, "UPDATE events SET payload = '{}' WHERE seq = 6")
    with (
        open_ledger() as ledger,
        pytest.raises(IntegrityError, match=r"last event is broken: event 6 \(request_data"),
    ):
        ledger.append("note", "intents", {}, "ada")


def test_database_refuses_changes_of_events(database: Path) -> None:
    for statement in ("UPDATE events SET actor = 'eve'", "DELETE FROM events"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"), sqlite3.connect(database) as connection:
            connection.execute(statement)


def test_hash_is_the_documented_formula(database: Path) -> None:
    with open_ledger() as ledger:
        event = ledger.events(limit=1)[0]
    wanted = event_hash(1, "note", "intents", "ada", event.at, digest_of({"text": "größe"}), GENESIS)
    assert (event.hash, event.previous_hash) == (wanted, GENESIS)


def test_damaged_file_is_named(database: Path) -> None:
    data = bytearray(database.read_bytes())
    data[:64] = b"\0" * 64
    database.write_bytes(data)
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    with pytest.raises((IntegrityError, StorageError), match=r"ledger\.db"):
        open_ledger().verify()
