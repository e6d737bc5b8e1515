from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from ftcore.cli import app
from ftcore.errors import UsageError
from ftcore.models.loading import save_model
from ftcore.store import Store
from tests.evaluation.test_benchmarks import offline, write_task  # noqa: F401 (offline: a fixture of all tests here)
from tests.tiny_families import build


def test_a_model_is_measured_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTCORE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    digest = save_model(*build("llama", 5), Store().root / "stages" / "train" / "key" / "model")
    spec = {"name": "tiny", "task": "instruction", "base_model": {"name": "b"}, "compute": {"device": "cpu"}}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(spec))
    command = ["benchmark", str(tmp_path / "tiny.yaml"), "--tasks", "next_word, next_word"]
    command += ["--include", str(write_task(tmp_path / "tasks")), "--limit", "4"]
    done = CliRunner().invoke(app, [*command, "--model", digest[:10], "--json"])
    assert done.exit_code == 0, done.output
    assert [(line["task"], line["n"]) for line in json.loads(done.stdout)["results"]] == [("next_word", 4)]
    assert "Not in MLflow" in done.stderr
    refused = CliRunner().invoke(app, command)
    assert isinstance(refused.exception, UsageError) and "tiny has no champion yet" in str(refused.exception)
