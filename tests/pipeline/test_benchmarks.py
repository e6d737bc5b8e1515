from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ftcore.errors import UsageError
from ftcore.evaluation.benchmarks import Asked
from ftcore.ledger import GATE_DECISION, Ledger
from ftcore.models.loading import save_model
from ftcore.pipeline import benchmarks
from ftcore.registry import tracking
from ftcore.spec import FineTuneSpec
from ftcore.store import Store
from tests.tiny_families import build

LINE = {"task": "t", "metric": "acc", "filter": "none", "value": 0.5, "stderr": 0.1, "n": 4, "shots": 0, "version": 1.0}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FTCORE_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def test_models_are_found_by_role_and_by_digest(home: Path) -> None:
    store, ledger = Store(home / "store"), Ledger(f"sqlite:///{home / 'ledger.db'}")
    folders = [store.root / "stages" / "train" / f"key{seed}" / "model" for seed in (1, 2)]
    first, second = (save_model(*build("llama", seed), folder) for seed, folder in enumerate(folders))
    for model in ("champion", "candidate", "123", "0" * 12):
        with pytest.raises(UsageError):
            benchmarks.find_model("tiny", ledger, store, model)
    assert benchmarks.find_model("tiny", ledger, store, second[:8]) == (folders[1], second)
    ledger.append(GATE_DECISION, "tiny", {"candidate": first}, "ada")
    assert benchmarks.find_model("tiny", ledger, store, "candidate") == (folders[0], first)
    (folders[1] / "MANIFEST.json").write_text("{")
    with pytest.raises(UsageError, match="0 models"):
        benchmarks.find_model("tiny", ledger, store, second[:8])


def test_scores_go_into_a_file_and_into_the_run_of_the_model(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, ledger = Store(home / "store"), Ledger(f"sqlite:///{home / 'ledger.db'}")
    digest = save_model(*build("llama", 1), store.root / "stages" / "train" / "key" / "model")
    spec = FineTuneSpec.model_validate({
        "name": "tiny", "task": "instruction", "base_model": {"name": "b"}, "compute": {"device": "cpu", "threads": 1},
    })  # fmt: skip

    def measured(folder: Path, digest: str, *_: Any) -> dict[str, Any]:
        return {"model": digest, "lm_eval": "0.4.13", "limit": None, "chat": False, "results": [LINE]}

    monkeypatch.setattr(benchmarks, "benchmark", measured)
    found = benchmarks.run_benchmark(spec, ledger, store, digest, Asked(("t",)))
    assert found["mlflow"] == "MLflow is not set up yet"
    assert json.loads(Path(found["file"]).read_text()) == {"spec": "tiny", **measured(home, digest)}
    client = tracking.connect()
    run = tracking.find_or_create_run(client, "tiny", digest)
    found = benchmarks.run_benchmark(spec, ledger, store, digest, Asked(("t",)))
    assert found["mlflow"] is None
    seen = client.get_run(run.info.run_id)
    assert seen.data.metrics == {"benchmark.t.acc": 0.5, "benchmark.t.acc.stderr": 0.1}
    assert [item.path for item in client.list_artifacts(run.info.run_id, "benchmarks")] == [
        f"benchmarks/{Path(found['file']).name}"
    ]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    found = benchmarks.run_benchmark(spec, ledger, store, digest, Asked(("t",)))
    assert "does not answer" in str(found["mlflow"])
