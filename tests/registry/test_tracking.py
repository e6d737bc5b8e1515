"""What lands in MLflow, once; and how quickly its absence is told."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ftcore.errors import ServiceUnavailable
from ftcore.evaluation.probes.measures import Measure, ratio, share
from ftcore.ledger import open_ledger
from ftcore.records import Evaluation, canonical_json
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


def test_what_the_probes_measured_is_among_the_metrics(with_mlflow: Path, tmp_path: Path) -> None:
    """Names and numbers of a file that the probes' own code wrote."""
    loss = Measure("forgetting", "bits_per_byte", "text", {
        "candidate": ratio([2.0, 3.0, 2.5] * 5), "base": ratio([1.0, 2.0, 1.75] * 5)
    }, kind="loss")  # fmt: skip
    safe = Measure("safety", "unsafe", "answers", {"candidate": share([True] + [False] * 9)})
    measures = [found for item in (loss, safe) if (found := item.to_dict((("candidate", "base"),))) is not None]
    measures[0]["models"]["base"]["ci_high"] = None  # no upper end
    with open_ledger() as ledger:
        records = candidate(SPEC, Store(), ledger, 2)
    record = records["evaluate"]
    assert isinstance(record, Evaluation)
    folder = Store().resolve(record.uri)
    (folder / "probes.json").write_text(canonical_json({"version": 1, "measures": measures, "left_out": {}}))
    tracking.log_stage(SPEC, record, Store())
    client = tracking.connect()
    experiment = client.get_experiment_by_name(SPEC.name)
    [run] = client.search_runs([experiment.experiment_id])
    seen = run.data.metrics
    assert seen["candidate.probe.forgetting.bits_per_byte"] == 2.5 and seen["candidate.probe.safety.unsafe"] == 0.1
    difference = measures[0]["differences"][0]
    assert seen["candidate.probe.forgetting.bits_per_byte.minus_base"] == difference["difference"]
    assert seen["candidate.probe.forgetting.bits_per_byte.minus_base.ci_low"] == difference["ci_low"]
    assert "base.probe.forgetting.bits_per_byte.ci_low" in seen
    assert "base.probe.forgetting.bits_per_byte.ci_high" not in seen
    assert seen["candidate.accuracy"] == 0.9


def test_unreachable_mlflow_is_told_without_minutes_of_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    started = time.monotonic()
    with pytest.raises(ServiceUnavailable, match=r"MLflow at http://127\.0\.0\.1:9 does not answer") as caught:
        tracking.connect()
    assert time.monotonic() - started < 60
    assert "ftcore up" in caught.value.hint
    assert "secret" not in str(caught.value)
