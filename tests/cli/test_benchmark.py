from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ftcore.models.loading import save_model
from ftcore.store import Store
from tests.evaluation.test_benchmarks import write_task
from tests.tiny_families import build


def ftcore(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ftcore", *args], capture_output=True, text=True, timeout=200)


def test_a_model_is_measured_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lm_eval")
    monkeypatch.setenv("FTCORE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    digest = save_model(*build("llama", 5), Store().root / "stages" / "train" / "key" / "model")
    spec = {"name": "tiny", "task": "instruction", "base_model": {"name": "b"}, "compute": {"device": "cpu"}}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(spec))
    command = ["benchmark", str(tmp_path / "tiny.yaml"), "--tasks", "next_word, next_word"]
    command += ["--include", str(write_task(tmp_path / "tasks")), "--limit", "4"]
    done = ftcore(*command, "--model", digest[:10], "--json")
    assert done.returncode == 0, done.stderr
    assert [(line["task"], line["n"]) for line in json.loads(done.stdout)["results"]] == [("next_word", 4)]
    assert "Not in MLflow" in done.stderr
    refused = ftcore(*command)
    assert refused.returncode == 2 and "tiny has no champion yet" in refused.stderr
