"""Secrets are made once and kept private; the environment binds everything to loopback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ftcore.stack.environment import airflow_environment, ftcore_environment, password_file, stack_secrets

PORTS = {"airflow": 1, "mlflow": 2, "server": 3}


def test_secrets_are_made_once_and_only_this_user_reads_them(tmp_path: Path) -> None:
    first = stack_secrets(tmp_path)
    assert stack_secrets(tmp_path) == first
    for path in (tmp_path / "run" / "secrets.json", password_file(tmp_path)):
        assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(password_file(tmp_path).read_text()) == {"admin": first["password"]}
    assert stack_secrets(tmp_path / "other") != first


def test_loopback_is_never_proxied_and_a_users_exceptions_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "intra.example")
    assert ftcore_environment(tmp_path, PORTS)["no_proxy"] == "intra.example,127.0.0.1,localhost"


def test_settings_of_another_airflow_do_not_leak_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", "/elsewhere")
    monkeypatch.setenv("AIRFLOW_HOME", "/elsewhere")
    env = airflow_environment(tmp_path, tmp_path / "project", PORTS)
    assert env["AIRFLOW__CORE__DAGS_FOLDER"] == str(tmp_path / "project" / "dags")
    assert env["AIRFLOW_HOME"] == str(tmp_path / "airflow")
    assert env["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert "AIRFLOW_HOME" not in ftcore_environment(tmp_path, PORTS)
