"""`ftcore preflight`: what is printed and how it exits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ftcore import pipeline
from ftcore.cli import app
from ftcore.pipeline import Step
from ftcore.records import PreparedDataset
from ftcore.stages import train
from ftcore.training.findings import Finding

PREPARED: dict[str, Any] = {
    "uri": "prepare/x", "content_digest": "c", "train_digest": "t", "labels": ("a",), "num_rows": {}, "num_quarantined": {},
    "num_tokens": {}, "test_digest": "d",
}  # fmt: skip
FINE = Finding("labels", "ok", "5 rows")
FAULT = Finding("memory", "fault", "needs about 11.0 GB, 8.0 GB free", "--set training.micro_batch_size=4")


def invoke(
    folder: Path, monkeypatch: pytest.MonkeyPatch, findings: list[Finding], *arguments: str, refused: Any = ()
) -> Any:
    spec = folder / "spec.yaml"
    spec.write_text("name: intents\nbase_model: {name: ./model}\n")
    record = PreparedDataset(**PREPARED, refused=refused)
    monkeypatch.setattr(pipeline, "run_pipeline", lambda *args, **named: iter([Step("prepare", record, True, (), 0.0)]))
    monkeypatch.setattr(pipeline, "gather", lambda *args: {"prepare": args[4]["prepare"]})
    monkeypatch.setattr(train, "preflight", lambda spec, inputs, store: findings)
    return CliRunner().invoke(app, ["preflight", str(spec), *arguments])


def test_all_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = invoke(tmp_path, monkeypatch, [FINE])
    assert result.exit_code == 0
    assert result.stdout == "ok     labels      5 rows\n"


def test_a_fault_exits_with_3_and_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = invoke(tmp_path, monkeypatch, [FINE, FAULT])
    assert result.exit_code == 3
    assert "fault  memory      needs about 11.0 GB, 8.0 GB free\n" in result.stdout
    assert "try: --set training.micro_batch_size=4" in result.stdout


def test_json_and_refused_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = invoke(tmp_path, monkeypatch, [FINE], "--json")
    assert json.loads(result.stdout) == {
        "refused": [], "findings": [{"check": "labels", "verdict": "ok", "message": "5 rows", "hint": ""}],
    }  # fmt: skip
    result = invoke(tmp_path, monkeypatch, [FINE], refused=("too many leaks",))
    assert result.exit_code == 3 and "refused at prepare: too many leaks" in result.stdout
    assert "5 rows" not in result.stdout
