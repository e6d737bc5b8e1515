"""Trials as child runs in MLflow: once each, and no reason to stop when MLflow is away."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftcore.models.base import BaseModel
from ftcore.records import TuningResult, canonical_json
from ftcore.registry import tracking
from ftcore.store import Store, write_durable
from ftcore.tuning.tracking import PARENT, log_own_trials, log_search
from tests.registry.conftest import mlflow_template, with_mlflow  # noqa: F401
from tests.tiny_search import make_search, make_spec


def finished(home: Path) -> TuningResult:
    rows = [
        {"number": 0, "state": "complete", "settings": {"training.learning_rate": 0.1}, "score": 0.5, "curve": [0.7, 0.5],
         "seconds": 2.0, "reason": None, "is_own": True},
        {"number": 1, "state": "failed", "settings": {}, "score": None, "curve": [], "seconds": 1.0,
         "reason": "out of memory", "is_own": False},
    ]  # fmt: skip
    write_durable(home / "stages/tune/k/trials.jsonl", "".join(canonical_json(row) + "\n" for row in rows))
    return TuningResult(
        uri="stages/tune/k", data_digest="d", metric="loss", settings={"training.learning_rate": 0.1}, settings_digest="s",
        chosen_trial=0, trials_uri="stages/tune/k/trials.jsonl", num_trials=2, num_complete=1, num_pruned=0, num_failed=1,
        search_s=3.0, rescore_s=0.0, best_trial=0, best_score=0.5, own_trial=0,
    )  # fmt: skip


def test_each_trial_is_a_child_run_once(tiny_base: BaseModel, home: Path, with_mlflow: Path) -> None:  # noqa: F811
    spec = make_spec(tiny_base)
    for _ in range(2):
        assert log_search(spec, finished(home), Store(home))
    client = tracking.connect()
    experiment = client.get_experiment_by_name(spec.name)
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"tiny-tune-k", "trial-0", "trial-1"}
    parent = runs["tiny-tune-k"]
    assert parent.data.params["training.learning_rate"] == "0.1" and parent.data.metrics["tune.num_failed"] == 1
    assert {runs[name].data.tags[PARENT] for name in ("trial-0", "trial-1")} == {parent.info.run_id}
    assert (runs["trial-0"].info.status, runs["trial-1"].info.status) == ("FINISHED", "FAILED")
    assert runs["trial-1"].data.tags["ftcore.reason"] == "out of memory"
    curve = client.get_metric_history(runs["trial-0"].info.run_id, "validation_loss")
    assert [(point.step, point.value) for point in curve] == [(1, 0.7), (2, 0.5)]


def test_an_mlflow_that_is_away_stops_nothing(
    tiny_base: BaseModel, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ftcore.tuning.study import open_study

    spec = make_spec(tiny_base)
    search = make_search(home, spec)
    log_own_trials(search, open_study(search), 0)
    assert capsys.readouterr().err == "", "no MLflow was set up: nothing to say"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    assert not log_search(spec, finished(home), Store(home))
    log_own_trials(search, open_study(search), 0)
    said = capsys.readouterr().err
    assert said.count("trials are not in MLflow yet") == 2 and "secret" not in said
