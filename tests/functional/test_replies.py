"""A model that writes replies, from rows to production and back: promoted, explained, served, watched, corrected."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from ftcore.audit.verify import verify
from ftcore.audit.why import why
from ftcore.data.reading import write_jsonl
from ftcore.data.versions import pull
from ftcore.ledger import open_ledger
from ftcore.monitoring.feedback import collect_feedback
from ftcore.monitoring.watch import watch
from ftcore.pipeline import Step, run_pipeline
from ftcore.registry import tracking
from ftcore.serving.app import create_app
from ftcore.spec import FineTuneSpec, load_spec
from ftcore.stack.page import overviews, render
from ftcore.store import Store
from tests.tiny_families import build_base, make_dialogues

pytestmark = pytest.mark.functional
SETTINGS = """
name: replies
task: {task}
data: {{repo: null, path: rows, files: {{train: [train.jsonl, "feedback-*.jsonl"], test: test.jsonl}}}}
base_model: {{name: {base}}}
validation: {{max_quarantined: 0.9}}
leakage: {{max_leaked: 1.0, rules: [exact]}}
prepare: {{deduplicate: false}}
training: {{epochs: {epochs}, batch_size: 16, max_length: 32, learning_rate: 1.0e-2, patience: 0}}
evaluation: {{baselines: [base], batch_size: 32, generation: {{max_new_tokens: 8}}}}
gate: {{min_rows: 30, min_over_baseline: 0.0, margin: 0.2, floors: {{chrf: 0.1}}}}
monitoring: {{window_rows: 60, min_rows: 40, min_feedback_rows: 10}}
compute: {{device: cpu, precision: fp32, threads: 2}}
"""


def build_project(folder: Path, task: str, family: str, epochs: int) -> FineTuneSpec:
    build_base(folder / "base", family)
    (folder / "expectations").mkdir()
    starter = Path(__file__).parents[2] / "ftcore" / "validation" / "starters" / f"{task}.json"
    suite = json.loads(starter.read_text())
    suite["expectations"] = suite["expectations"][:2]
    (folder / "expectations" / f"{task}.json").write_text(json.dumps(suite))
    (folder / "rows").mkdir()
    for name, number, seed in (("train", 160, 1), ("test", 60, 2)):
        rows = [{"id": f"{name}-{row['id']}", "messages": row["messages"]} for row in make_dialogues(number, seed)]
        write_jsonl(folder / "rows" / f"{name}.jsonl", rows)
    (folder / "spec.yaml").write_text(SETTINGS.format(task=task, base=folder / "base", epochs=epochs))
    return load_spec(folder / "spec.yaml")


def once(spec: FineTuneSpec) -> dict[str, Step]:
    with open_ledger() as ledger:
        steps = {step.stage: step for step in run_pipeline(spec, Store(), ledger)}
    assert {name: step.record.refused for name, step in steps.items() if step.record.refused} == {}
    return steps


def ask(client: TestClient, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    answer = client.post("/v1/replies/predict", json=dict(body))
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["predictions"]
    return found


def test_around_with_replies(tmp_path: Path) -> None:
    spec = build_project(tmp_path / "project", "instruction", "llama", 6)
    once(spec)
    again = once(spec)
    assert [name for name, step in again.items() if not step.reused] == ["promote"]

    store, ledger = Store(), open_ledger()
    head = ledger.head("replies")
    assert head is not None
    told = why("replies", ledger, store)
    assert {"chrf", "bleu", "rouge_l", "exact_match"} <= set(told["metrics"]["candidate"])
    assert told["settings"]["task"] == "instruction"
    assert verify(ledger, store).faults == ()
    [page] = overviews(ledger, ["replies"])
    assert page.verdict is not None and "chrf" in render([page], "/ftcore")
    client = tracking.connect()
    run = tracking.find_or_create_run(client, "replies", head.model_digest)
    assert {"candidate.chrf", "base.chrf", "train.best_validation_loss"} <= set(run.data.metrics)

    with TestClient(create_app(["replies"], store=store, ledger=ledger)) as http:
        asked = [row["text"] for row in make_dialogues(50, seed=3)]
        answered = ask(http, {"texts": asked, "source": "web"})
        turns = [{"role": "system", "content": "sorry"}, {"role": "user", "content": "my card is lost"}]
        answered += ask(http, {"messages": turns, "group": "c1"})
        items = [
            {"id": row["id"], "reply": f"we block {number}", "rating": "down"} for number, row in enumerate(answered)
        ]
        assert http.post("/v1/replies/feedback", json={"items": items[-12:]}).status_code == 202

    report = watch(spec, store, ledger, "test")
    assert {test.name for test in report.tests} == {
        "confidence",
        "length",
        "embeddings",
        "reply_length",
        "ended",
        "repeats",
    }
    folder = store.resolve(report.uri)
    assert (folder / "evidently.html").is_file() and "Reply length" in (folder / "report.html").read_text()

    collected = collect_feedback(spec, store, ledger, "test")
    assert collected.data is not None
    pull(collected.data, store.root / "pulled")
    rows = [json.loads(line) for line in (store.root / "pulled" / "feedback-1.jsonl").read_text().splitlines()]
    assert rows[-1]["messages"] == [*turns, {"role": "assistant", "content": "we block 50"}]
    rated = [
        json.loads(line) for line in (store.root / "pulled" / "ratings" / "feedback-1.jsonl").read_text().splitlines()
    ]
    assert (len(rows), len(rated), rated[-1]["rating"]) == (12, 12, "down")
    assert rated[-1]["messages"][-1]["content"] == answered[-1]["reply"]
    [*_, pair] = (store.root / "pulled" / "pairs" / "feedback-1.jsonl").read_text().splitlines()
    assert (json.loads(pair)["chosen"], json.loads(pair)["rejected"]) == ("we block 50", answered[-1]["reply"])


def test_seq2seq_is_promoted_and_served(tmp_path: Path) -> None:
    spec = build_project(tmp_path / "project", "seq2seq", "t5", 1)
    spec = spec.model_copy(update={"gate": spec.gate.model_copy(update={"floors": {"chrf": 0.0}, "margin": 1.0})})
    once(spec)
    with TestClient(create_app(["replies"], store=Store(), ledger=open_ledger())) as http:
        [answered] = ask(http, {"text": "my card is lost"})
        assert isinstance(answered["reply"], str) and answered["num_tokens"] >= 1


@pytest.mark.parametrize("algorithm", ["kto", "dpo"])
def test_ratings_are_learnt_from_between_training_and_promotion(algorithm: str, tmp_path: Path) -> None:
    """Thumbs and pairs in TRL's columns, as the shipped set has them; the better answer is the one that training has seen."""
    project = tmp_path / "project"
    build_project(project, "instruction", "llama", 6)
    rows: list[dict[str, Any]] = []
    for number, row in enumerate(make_dialogues(80, seed=5)):
        good, bad = str(row["completion"]), "we block card now"
        thumb = {"prompt": row["text"], "completion": bad if number % 2 else good, "label": number % 2 == 0}
        rows.append(thumb if algorithm == "kto" else {"prompt": row["text"], "chosen": good, "rejected": bad})
    write_jsonl(project / "rows" / "rated.jsonl", rows)
    prefer = {"algorithm": algorithm, "data": ["rated.jsonl"], "epochs": 2, "learning_rate": 1e-4}
    spec = load_spec(project / "spec.yaml", [f"method.prefer={json.dumps(prefer)}"])
    steps = once(spec)
    prepared = Store().resolve(steps["prepare"].record.uri)
    assert len((prepared / "preferences.jsonl").read_text().splitlines()) > 40
    told = json.loads((Store().resolve(steps["train"].record.uri) / "preflight.json").read_text())
    assert any(item["check"] == "ratings" and item["verdict"] == "ok" for item in told)
    found = open_ledger().head("replies")
    assert found is not None and found.model_digest == steps["train"].record.model_digest
    [scored] = [item for item in steps["evaluate"].record.models if item.role == "candidate"]
    assert {metric.name: metric.value for metric in scored.metrics}["chrf"] > 0.5  # what it could before, it still can
