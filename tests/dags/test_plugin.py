"""Airflow loads the page from the plugin file, and the page shows what the project's specs call themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.configuration import conf

from ftcore.ledger import open_ledger

ROOT = Path(__file__).parents[2]


def test_airflow_finds_the_plugin(tmp_path: Path) -> None:
    env = os.environ | {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins")}
    code = "from airflow.plugins_manager import get_fastapi_plugins; print(get_fastapi_plugins()[0][-1]['url_prefix'])"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "/ftcore"


def test_a_spec_is_shown_under_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ftcore.airflow.plugin import page

    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "first-try.yaml").write_text("name: intents\nbase_model: {name: ./base}\n")
    monkeypatch.setattr(conf, "get", lambda section, key: str(tmp_path))
    html = bytes(page(open_ledger()).body).decode()
    assert "intents" in html and "first-try" not in html
