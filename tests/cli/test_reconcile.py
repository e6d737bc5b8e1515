"""`reconcile`: whose alerts it may close."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ftcore.cli.reconcile import reconcile
from ftcore.ledger import open_ledger

SPEC = "name: {name}\nbase_model: {{name: ./model}}\n"


def sweep(project: Path, capsys: pytest.CaptureFixture[str]) -> tuple[list[str], dict[str, int]]:
    """Specs whose alerts are still open, and what the command said."""
    reconcile(project=project, json=True)
    return [alert.spec for alert in open_ledger().pending_alerts()], json.loads(capsys.readouterr().out)["alerts"]


def test_an_alert_of_a_faulty_spec_waits_and_one_of_no_spec_does_not(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    specs = tmp_path / "project" / "dags" / "specs"
    specs.mkdir(parents=True)
    (specs / "good.yaml").write_text(SPEC.format(name="good"))
    (specs / "bad.yaml").write_text(SPEC.format(name="bad") + "nonsense: 1\n")
    for name in ("good", "bad", "gone"):
        open_ledger().enqueue_alert(name, "critical", "title", "body", name)
    assert sweep(specs, capsys) == (["bad", "gone"], {"delivered": 1, "failed": 0, "waiting": 2})
    assert len((home / "alerts.log").read_text(encoding="utf-8").splitlines()) == 3  # the log has them all the same
    (specs / "bad.yaml").write_text(SPEC.format(name="bad"))
    assert sweep(specs, capsys) == ([], {"delivered": 2, "failed": 0, "waiting": 0})
    assert len((home / "alerts.log").read_text(encoding="utf-8").splitlines()) == 3
