"""Every finding says what was seen; what is wrong comes with what to do."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from ftcore.ledger import open_ledger
from ftcore.stack.doctor import examine


def test_a_different_version_is_named_with_the_command_that_helps(tmp_path: Path, home: Path) -> None:
    pins = tmp_path / "constraints.txt"
    pins.write_text(f"pydantic=={importlib.metadata.version('pydantic')}\ntyper==0.0.1\nno-such-package==1.0\n")
    found = {check.name: check for check in examine(home, pins)}
    assert found["packages"].state == "warn"
    assert "typer" in found["packages"].seen
    assert "pydantic" not in found["packages"].seen
    assert "pip install" in found["packages"].hint
    assert found["python"].state == "ok"
    assert found["ledger"].seen == "none yet"


def test_a_broken_ledger_is_a_failure(home: Path) -> None:
    ledger = open_ledger()
    ledger.append("note", "intents", {"a": 1}, "test")
    assert {check.name: check.state for check in examine(home)}["ledger"] == "ok"
    import sqlite3

    with sqlite3.connect(home / "ledger.db") as database:
        for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {trigger}")
        database.execute("UPDATE events SET payload = '{\"a\":2}'")
    assert {check.name: check.state for check in examine(home)}["ledger"] == "fail"
