"""Opening, migrating, and what a user sees when the database cannot be used."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory

import ftcore.ledger.migrations as migrations
from ftcore.errors import ServiceUnavailable, StorageError, UsageError
from ftcore.ledger import open_ledger
from ftcore.ledger.migrations import HEAD_REVISION
from ftcore.ledger.schema import metadata


def test_head_revision_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD_REVISION]


def test_migrations_make_the_tables_of_the_schema(home: Path) -> None:
    open_ledger().close()
    inspector = sa.inspect(sa.create_engine(f"sqlite:///{home / 'ledger.db'}"))
    for table in metadata.sorted_tables:
        columns = {(c["name"], c["nullable"]) for c in inspector.get_columns(table.name)}
        assert columns == {(c.name, bool(c.nullable)) for c in table.columns}, table.name
        indexes = {index["name"] for index in inspector.get_indexes(table.name)}
        assert {index.name for index in table.indexes} <= indexes


def test_sqlite_is_set_up_to_survive_a_power_cut(home: Path) -> None:
    with open_ledger() as ledger, ledger._database.reading() as connection:
        pragmas = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in
                   ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")}  # fmt: skip
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30000}


def test_four_processes_open_a_new_ledger_at_once(home: Path) -> None:
    code = "from ftcore.ledger import open_ledger; open_ledger().append('note', 's', {}, 'me')"
    started = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(4)]
    errors = [process.communicate(timeout=60)[1] for process in started]
    assert [process.returncode for process in started] == [0] * 4, errors
    with open_ledger() as ledger:
        assert [event.seq for event in ledger.events()] == [1, 2, 3, 4]
        assert ledger.verify().ok


def test_opening_a_current_ledger_imports_no_alembic(home: Path) -> None:
    open_ledger().close()
    code = "import sys; from ftcore.ledger import open_ledger; open_ledger(); print({'alembic', 'mlflow'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "set()\n"


def test_newer_schema_is_refused(home: Path) -> None:
    open_ledger().close()
    with sqlite3.connect(home / "ledger.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UsageError, match="has schema 9999; this ftcore knows up to"):
        open_ledger()


def test_full_disk_undoes_the_transaction(home: Path) -> None:
    with open_ledger() as ledger:
        ledger.append("note", "s", {}, "me")

        def fill(connection: sqlite3.Connection, _: object) -> None:  # the file may not grow: what a full disk does
            connection.execute("PRAGMA max_page_count = 1")

        sa.event.listen(ledger._database.engine, "connect", fill)
        with pytest.raises(StorageError, match="disk is full"):
            ledger.append("note", "s", {"big": "x" * 200_000}, "me")
    with open_ledger() as ledger:
        assert len(ledger.events()) == 1
        assert ledger.verify().ok


def test_locked_database_says_try_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftcore.ledger.database.BUSY_TIMEOUT_S", 0.2)
    with open_ledger() as ledger:
        other = sqlite3.connect(home / "ledger.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ServiceUnavailable, match="Another process holds"):
            ledger.append("note", "s", {}, "me")
        assert ledger.events() == []  # reading goes on


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="permission|unable to open"):
        open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


def test_unreachable_server_hides_the_password_and_is_quick() -> None:
    pytest.importorskip("psycopg")
    started = time.monotonic()
    with pytest.raises(ServiceUnavailable, match="Cannot reach the ledger") as caught:
        open_ledger("postgresql+psycopg://user:secret@127.0.0.1:9/ledger")
    assert "secret" not in str(caught.value)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("url", "message"),
    [("nonsense", "not a database URL"), ("mysql://x/y", "cannot live in 'mysql'")],
)
def test_wrong_urls_are_usage_errors(url: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_ledger(url)
