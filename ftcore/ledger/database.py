"""The database under the ledger: connections, transactions, migrations, and its errors in our words.

SQLite runs in WAL mode with synchronous=FULL (a committed event survives a power cut) and foreign keys on. Every writing
transaction starts with BEGIN IMMEDIATE, so that two writers queue instead of failing half-way; on Postgres one advisory lock
gives the same order. WAL needs a local disk: on a network file system use Postgres.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.pool import NullPool

from ftcore.errors import FtcoreError, IntegrityError, ServiceUnavailable, StorageError, UsageError
from ftcore.ledger.migrations import HEAD_REVISION
from ftcore.store import make_folder

BUSY_TIMEOUT_S = 30.0
_WRITE = "ftcore_write"
_LOCK_KEY = 0x66746C64676572  # "ftldger": any number that other users of the database do not take


class Database:
    """One ledger database. Opening migrates it when its schema is not current.

    Raises:
        UsageError: The URL cannot be read, its driver is not installed, or the schema is from a newer ftcore.
        ServiceUnavailable: The server does not answer, or another process holds the lock too long.
        StorageError: The file cannot be created or written.
    """

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self.shown_url = self.engine.url.render_as_string(hide_password=True)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        if self.is_sqlite and self.engine.url.database:
            make_folder(Path(self.engine.url.database).absolute().parent)
        if self._revision() != HEAD_REVISION:
            self._migrate()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection in a read transaction: one consistent view."""
        with self._own_words(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A connection in a write transaction; writers run one after another. An exception rolls everything back."""
        with self._own_words(), self.engine.connect() as connection:
            connection = connection.execution_options(**{_WRITE: True})
            with connection.begin():
                if not self.is_sqlite:
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_KEY)))
                yield connection

    def _revision(self, connection: sa.Connection | None = None) -> str | None:
        if connection is None:
            with self.reading() as connection:
                return self._revision(connection)
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()

    def _migrate(self) -> None:
        """Bring the schema to HEAD_REVISION in one transaction; of two processes the second finds the work done."""
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        with self.writing() as connection:
            seen = self._revision(connection)
            if seen == HEAD_REVISION:
                return
            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, HEAD_REVISION)
            except CommandError:
                message = f"The ledger {self.shown_url} has schema {seen}; this ftcore knows up to {HEAD_REVISION}."
                raise UsageError(message, hint="use the ftcore that wrote it, or a newer one") from None

    @contextlib.contextmanager
    def _own_words(self) -> Iterator[None]:
        try:
            yield
        except exc.DBAPIError as error:
            raise self._translate(error) from error

    def _translate(self, error: exc.DBAPIError) -> FtcoreError:
        text = " ".join(str(error.orig).split())
        where = f"the ledger {self.shown_url}"
        if "disk is full" in text:
            return StorageError(f"The disk is full: cannot write {where}. The transaction was undone.", hint="df -h")
        if "readonly" in text or "unable to open database file" in text or "append-only" in text:
            return StorageError(f"Cannot write {where}: {text}.", hint=f"ls -l {self.engine.url.database}")
        if "malformed" in text or "not a database" in text:
            return IntegrityError(
                f"Cannot read {where}: {text}.", hint="restore it from a backup; keep the damaged file"
            )
        if "locked" in text or "busy" in text:
            message = f"Another process holds {where} for more than {BUSY_TIMEOUT_S:.0f} s."
            return ServiceUnavailable(message, hint="run the same command again")
        if isinstance(error, exc.OperationalError | exc.InterfaceError):
            hint = "check FTCORE_LEDGER_URL and that the database is running"
            return ServiceUnavailable(f"Cannot reach {where}: {text}.", hint=hint)
        return IntegrityError(f"The database refused a change of {where}: {text}.", hint="ftcore audit verify")


def _engine(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() not in ("sqlite", "postgresql"):
            raise UsageError(f"The ledger cannot live in {parsed.get_backend_name()!r}; wanted sqlite or postgresql.")
        if parsed.get_backend_name() == "sqlite":
            # a connection per transaction: cheap on SQLite, and nothing open is ever carried through a fork
            engine = sa.create_engine(parsed, poolclass=NullPool, connect_args={"timeout": BUSY_TIMEOUT_S})
            event.listen(engine, "connect", _set_up_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        return sa.create_engine(parsed, pool_pre_ping=True, connect_args={"connect_timeout": 5})
    except exc.ArgumentError:
        raise UsageError(
            "FTCORE_LEDGER_URL is not a database URL.", hint="sqlite:////folder/ledger.db or postgresql://host/name"
        ) from None
    except ModuleNotFoundError as error:
        message = f"The ledger's database driver {error.name!r} is not installed."
        raise UsageError(message, hint="pip install 'ftcore[postgres]'") from None


def _set_up_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # the driver must not begin transactions of its own: ours are in _begin_sqlite
    connection.text_factory = _decode
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        _switch_to_wal(cursor)
    cursor.close()


def _decode(data: bytes) -> str:
    """Damaged text must be readable, so that verification can name the event it belongs to."""
    return data.decode("utf-8", "replace")


def _switch_to_wal(cursor: Any) -> None:
    """The switch, made once per file, does not wait for other connections by itself, so it is tried until it works."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            if cursor.execute("PRAGMA journal_mode = WAL").fetchone()[0] in ("wal", "memory"):
                return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        if time.monotonic() > deadline:
            return
        time.sleep(0.02)


def _begin_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITE) else "BEGIN")
