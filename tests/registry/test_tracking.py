"""What lands in MLflow, once; and how quickly its absence is told."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ftcore.errors import ServiceUnavailable
from ftcore.ledger import open_ledger
from ftcore.registry import tracking
from ftcore.store import Store
from tests.registry.candidates import candidate, tiny_spec

SPEC = tiny_spec()


def test_all_stages_of_a_candidate_share_one_run(with_mlflow: Path) -> None:
    with open_ledger() as ledger:
        records = candidate(SPEC, Store(), ledger, 1)
    for name in ("train", "evaluate", "judge", "train"):
        tracking.log_stage(SPEC, records[name], Store())
    client = tracking.connect()
    experiment = client.get_experiment_by_name(SPEC.name)
    [run] = client.search_runs([experiment.experiment_id])
    assert run.data.tags[tracking.RUN_KEY] == records["train"].digest
    assert run.data.tags["ftcore.verdict"] == "PASS"
    assert run.data.params["training.batch_size"] == "32"
    assert run.data.metrics["candidate.accuracy"] == 0.9
    assert run.data.metrics["verdict.accuracy.difference"] == 0.1
    artifacts = [item.path for item in client.list_artifacts(run.info.run_id, "evaluation")]
    assert artifacts == ["evaluation/record.json", "evaluation/tables.json"]


def test_unreachable_mlflow_is_told_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    started = time.monotonic()
    with pytest.raises(ServiceUnavailable, match=r"MLflow at http://127\.0\.0\.1:9 does not answer") as caught:
        tracking.connect()
    assert time.monotonic() - started < 3
    assert "ftcore up" in caught.value.hint
    assert "secret" not in str(caught.value)
