"""Finished pipelines in miniature: real stage outputs, records and manifests around a model of a few kilobytes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from ftcore.evaluation.gate.rules import rules_digest
from ftcore.ledger import Ledger
from ftcore.pipeline.decisions import record_decision
from ftcore.records import (
    Comparison,
    DatasetVersion,
    Evaluation,
    Metric,
    PreparedDataset,
    Record,
    Scored,
    SplitReport,
    TrainingRun,
    ValidationReport,
    Verdict,
    digest_of,
)
from ftcore.spec import FineTuneSpec
from ftcore.store import Manifest, Output, Store

DATA = digest_of("data")
PREPARED = digest_of("prepared")
TEST = digest_of("test rows")


def tiny_spec(name: str = "intents") -> FineTuneSpec:
    return FineTuneSpec.model_validate({"name": name, "base_model": {"name": "pkg:nothing/model"}})


def candidate(
    spec: FineTuneSpec, store: Store, ledger: Ledger, seed: int, outcome: str = "PASS", started_by: str = "pipeline"
) -> dict[str, Record]:
    """Records of a candidate, judged against the champion of now, and counted. Another `seed` is another model."""
    head = ledger.head(spec.name)
    against = (head.model_digest, head.seq) if head is not None else (None, 0)
    records: dict[str, Record] = {**_data_records(), "train": _train(spec, store, seed)}
    model = records["train"].digest
    records["evaluate"] = evaluation = _evaluate(store, model, against)
    verdict_key = digest_of([seed, against, outcome])

    def judge(output: Output) -> Verdict:
        difference = Comparison(
            name="accuracy", champion=0.80, candidate=0.90, difference=0.1, ci_low=0.06, ci_high=0.14, p_value=0.001,
            n=400, n_needed=150,
        )  # fmt: skip
        return Verdict(
            refused=() if outcome == "PASS" else (f"the gate says {outcome}",), uri=output.uri, outcome=outcome,
            reasons=("accuracy is 10.0 points higher",), metrics=(difference,), candidate_digest=model,
            champion_digest=against[0], champion_seq=against[1], evaluation_digest=evaluation.digest,
            gate_digest=spec.gate_digest, rules_digest=rules_digest(spec), test_digest=TEST,
        )  # fmt: skip

    records["judge"] = verdict = _finish(store, "judge", verdict_key, judge)
    record_decision(spec.name, verdict, evaluation, ledger, store, started_by)
    return records


def _data_records() -> dict[str, Record]:
    return {
        "ingest": DatasetVersion(
            repo="/data/repo", rev="a" * 40, path="data", uri="stages/ingest/x", manifest_digest=DATA, num_files=1, num_bytes=9
        ),
        "validate": ValidationReport(
            uri="stages/validate/x", data_digest=DATA, suite_digest=digest_of("suite"), num_leaked={"exact": 0},
            num_leaked_validation={"exact": 0},
            splits=(SplitReport(split="test", num_rows=400, num_expectations=5),), docs_uri="stages/validate/x/docs.html",
        ),
        "prepare": PreparedDataset(
            uri="stages/prepare/x", content_digest=PREPARED, train_digest=PREPARED, labels=("no", "yes"),
            num_rows={"train": 900, "test": 400},
            num_quarantined={}, num_tokens={"median": 9.0}, test_digest=TEST,
        ),
    }  # fmt: skip


def _train(spec: FineTuneSpec, store: Store, seed: int) -> TrainingRun:
    def train(output: Output) -> TrainingRun:
        digest = write_model(output.path / "model", seed)
        (output.path / "history.json").write_text(json.dumps([{"step": 1, "loss": 0.5}]))
        return TrainingRun(
            uri=output.uri, model_digest=digest, base_digest=digest_of("base"), base_name=spec.base_model.name,
            data_digest=PREPARED, method="full", device="cpu", precision="fp32", num_steps=10, num_epochs=1.0, best_step=10,
            best_validation_loss=0.5, train_s=1.0, samples_per_s=100.0, num_trainable=64, num_parameters=64,
        )  # fmt: skip

    return _finish(store, "train", digest_of(["train", seed]), train)


def write_model(folder: Path, seed: int) -> str:
    """A model folder as training leaves it; returns its digest."""
    folder.mkdir(parents=True)
    weights = np.random.default_rng(seed).normal(size=(8, 8)).astype(np.float32)
    save_file({"classifier.weight": weights}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"architectures": ["BertForSequenceClassification"]}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    (folder / "labels.json").write_text(json.dumps(["no", "yes"]))
    if ballast := int(os.environ.get("FTCORE_BENCH_BALLAST_MB", "0")):  # a package of realistic size
        (folder / "ballast.bin").write_bytes(os.urandom(1 << 20) * ballast)
    manifest = Manifest.of(folder)
    manifest.write(folder)
    return manifest.digest


def _evaluate(store: Store, model: str, against: tuple[str | None, int]) -> Evaluation:
    def evaluate(output: Output) -> Evaluation:
        reference = output.path / "reference"
        reference.mkdir(parents=True)
        (reference / "rows.jsonl").write_text('{"id": "1", "text": "hello", "prediction": "yes", "confidence": 0.9}\n')
        np.save(reference / "embeddings.npy", np.ones((1, 4), dtype=np.float16))
        (output.path / "tables.json").write_text(json.dumps({"confusion": [[1, 0], [0, 1]]}))
        metric = Metric(name="accuracy", value=0.9, n=400, ci_low=0.87, ci_high=0.93)
        return Evaluation(
            uri=output.uri, test_digest=TEST, num_rows=400,
            models=(Scored(role="candidate", model_digest=model, metrics=(metric,)),), candidate_digest=model,
            champion_digest=against[0], champion_seq=against[1],
        )  # fmt: skip

    return _finish(store, "evaluate", digest_of([model, against]), evaluate)


def _finish(store: Store, stage: str, key: str, make: Any) -> Any:
    if (found := store.find(stage, key)) is not None:
        return found
    with store.writing(stage, key) as output:
        record = make(output)
        store.commit(output, record, {"stage": stage, "key": key})
    return record
