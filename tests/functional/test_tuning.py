"""A search inside the pipeline: what it chose is what is trained, evaluated and kept; written into the spec it is the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ftcore.ledger import open_ledger
from ftcore.pipeline import run_pipeline, share_search, tuned
from ftcore.records import TrainingRun, TuningResult
from ftcore.spec import FineTuneSpec, load_spec, with_settings
from ftcore.stages import stages_of
from ftcore.store import Store
from tests.functional.tiny_project import build_project, write_rows
from tests.tiny_bert import make_rows

pytestmark = pytest.mark.functional
SETTINGS = (
    "training: {epochs: 1, batch_size: 16, max_length: 16}\nprepare: {deduplicate: false}\n"
    "compute: {device: cpu, precision: fp32, threads: 1}\nleakage: {rules: []}\n"
    "tuning: {trials: 3, minutes: null, rescore: {top: 1, seeds: 1}, space: {training.max_length: {choices: [8, 12]}, "
    "training.learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}}}\n"
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = build_project(tmp_path / "project", SETTINGS)
    rows = [{**row, "text": f"{row['text']} {number}"} for number, row in enumerate(make_rows(60))]
    write_rows(folder, "train.jsonl", rows[:40])
    write_rows(folder, "test.jsonl", rows[40:])
    return folder


def run(spec: FineTuneSpec, last: str) -> dict[str, object]:
    with open_ledger() as ledger:
        return {step.stage: step for step in run_pipeline(spec, Store(), ledger, last=last)}


def test_from_the_command_line_to_the_training_and_back_into_the_spec(project: Path, home: Path) -> None:
    command = [sys.executable, "-m", "ftcore", "tune", str(project / "spec.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=project)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("tune: trial") == 3 + 1 and "(the spec's own)" not in done.stderr
    lines = done.stdout.splitlines()
    pasted = yaml.safe_load("\n".join(lines[lines.index("") :]))
    assert set(pasted["training"]) == {"learning_rate", "max_length"}

    spec = load_spec(project / "spec.yaml")
    steps = run(spec, "train")
    found, trained = steps["tune"].record, steps["train"].record  # type: ignore[attr-defined]
    assert steps["tune"].reused and isinstance(found, TuningResult) and isinstance(trained, TrainingRun)  # type: ignore[attr-defined]
    effective = tuned(spec, {"tune": found})
    assert trained.settings == effective.part(("method", "training"))
    assert trained.settings["training"]["max_length"] == found.settings["training.max_length"] != 16

    written = {f"training.{name}": value for name, value in pasted["training"].items()}
    plain = with_settings(spec, {"tuning.space": {}, **written})
    assert "tune" not in stages_of(plain)
    steps = run(plain, "train")
    assert "tune" not in steps and steps["train"].reused  # type: ignore[attr-defined]


def test_a_corrected_holdout_searches_nothing_again_and_parts_share_the_stages_study(project: Path, home: Path) -> None:
    spec, store = load_spec(project / "spec.yaml"), Store()
    prepared = run(spec, "prepare")["prepare"].record  # type: ignore[attr-defined]
    inputs = {"prepare": prepared, "start": None}
    assert share_search(spec, inputs, store) == {"workers": [0], "is_done": False}
    assert share_search(spec, inputs, store, 0) == {"worker": 0, "is_done": False}
    (study,) = (home / "scratch" / "tune").glob("*/study.db")
    step = run(spec, "tune")["tune"]
    assert not step.reused and step.record.num_trials == 3 and not study.exists()  # type: ignore[attr-defined]
    rows = [json.loads(line) for line in (project / "rows" / "test.jsonl").read_text().splitlines()]
    rows[0]["label"] = "refund" if rows[0]["label"] != "refund" else "card"
    write_rows(project, "test.jsonl", rows)
    again = run(spec, "tune")
    assert not again["prepare"].reused and again["tune"].reused  # type: ignore[attr-defined]
    inputs = {"prepare": again["prepare"].record, "start": None}  # type: ignore[attr-defined]
    assert share_search(spec, inputs, store) == {"workers": [0], "is_done": True}
