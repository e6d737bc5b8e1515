from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from ftcore.data.cleaning import clean_text
from ftcore.data.reading import read_jsonl, write_jsonl
from ftcore.errors import IntegrityError
from ftcore.models.devices import Device
from ftcore.models.inference import Predictor
from ftcore.models.loading import load_classifier, save_classifier
from ftcore.records import Evaluation, ModelRef, PreparedDataset, TrainingRun, record_from_dict
from ftcore.spec import FineTuneSpec
from ftcore.stages import evaluate, judge
from ftcore.store import Manifest, Output, Store
from tests.standing import given_to_judge
from tests.tiny_bert import LABELS, build_tiny_bert, make_rows


def make_classifier(base: Path, folder: Path, labels: tuple[str, ...], seed: int) -> str:
    """A random classifier in `folder`/model; its digest."""
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=len(labels))
    return save_classifier(model, AutoTokenizer.from_pretrained(base), labels, folder / "model")


class World:
    """Records and files as the earlier stages leave them."""

    def __init__(self, root: Path, num_test: int = 240) -> None:
        self.store = Store(root)
        self.base = build_tiny_bert(root / "base").path
        self.spec = FineTuneSpec.model_validate({
            "name": "tiny", "base_model": {"name": str(self.base)}, "training": {"max_length": 16},
            "compute": {"device": "cpu", "precision": "fp32", "threads": 1},
            "gate": {"floors": {"accuracy": 0.0}, "min_over_baseline": 0.0, "min_slice_rows": 50},
        })  # fmt: skip
        test = [
            row | {"source": "<script>", "group": f"g{i // 2}"} for i, row in enumerate(make_rows(num_test, seed=2))
        ]
        (root / "prepared").mkdir()
        write_jsonl(root / "prepared" / "train.jsonl", make_rows(90, seed=1))
        write_jsonl(root / "prepared" / "test.jsonl", test)
        self.prepared = PreparedDataset(
            uri="prepared", content_digest="d" * 64, train_digest="d" * 64, labels=LABELS,
            num_rows={"train": 90, "test": num_test}, num_quarantined={}, num_tokens={}, test_digest="t" * 64,
        )  # fmt: skip
        digest = make_classifier(self.base, root / "candidate", LABELS, seed=1)
        self.training = TrainingRun(
            uri="candidate", model_digest=digest, base_digest="b" * 64, base_name="tiny", data_digest="d" * 64,
            method="full", device="cpu", precision="fp32", num_steps=1, num_epochs=1, best_step=1,
            best_validation_loss=1, train_s=1, samples_per_s=1, num_trainable=1, num_parameters=1,
        )  # fmt: skip
        champion = make_classifier(self.base, root / "packages" / "old", LABELS[:2], seed=2)
        self.champion = ModelRef(model_digest=champion, uri="packages/old", seq=4)
        self.serve_champion(self.spec)

    def serve_champion(self, spec: FineTuneSpec) -> None:
        """Put the spec that the champion was made with into its package."""
        package = self.store.root / "packages" / "old"
        (package / "spec.yaml").write_text(yaml.safe_dump(spec.model_dump(mode="json")))
        Manifest.of(package).write(package)

    def output(self, name: str) -> Output:
        (self.store.root / name).mkdir(exist_ok=True)
        return Output(self.store.root / name, name, self.store.root / "scratch")

    def evaluate(self, champion: bool = True) -> Evaluation:
        inputs = {"prepare": self.prepared, "train": self.training, "champion": self.champion if champion else None}
        return evaluate.run(self.spec, inputs, self.output("evaluated"), self.store)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_every_model_is_scored_on_the_same_rows(world: World) -> None:
    record = world.evaluate()
    assert not record.refused
    assert [scored.role for scored in record.models] == ["candidate", "champion", "majority", "nearest_centroid"]
    assert record_from_dict(record.to_dict()) == record
    assert {metric.n for scored in record.models for metric in scored.metrics} == {240}
    assert record.champion_digest == world.champion.model_digest and record.champion_seq == 4
    folder = world.store.resolve(record.uri)
    rows = {scored.role: read_jsonl(folder / "predictions" / f"{scored.role}.jsonl") for scored in record.models}
    for scored in record.models:
        lines = rows[scored.role]
        assert [line["id"] for line in lines] == [line["id"] for line in rows["candidate"]]
        right = sum(line["target"] == line["prediction"] for line in lines) / 240
        assert scored.metrics[0].value == pytest.approx(right)
        assert lines[0]["source"] == "<script>" and lines[1]["group"] == "g0"
    assert {line["prediction"] for line in rows["champion"]} <= set(LABELS[:2])  # it lacks the third class
    centroid = next(scored for scored in record.models if scored.role == "nearest_centroid")
    assert centroid.metrics[0].value > 0.5  # the word of the class is in the text
    tables = json.loads((folder / "tables.json").read_text())
    assert np.array(tables["models"]["candidate"]["confusion"]).sum() == 240
    assert tables["num_groups"] == 120 and tables["slices"] == ["source"]


def test_the_monitoring_reference_is_the_candidates_own(world: World) -> None:
    folder = world.store.resolve(world.evaluate(champion=False).uri)
    rows = read_jsonl(folder / "reference" / "rows.jsonl")
    embeddings = np.load(folder / "reference" / "embeddings.npy")
    assert len(embeddings) == 240 and embeddings.dtype == np.float16
    assert set(rows[0]) == {"id", "text", "prediction", "confidence", "num_chars", "num_tokens"}
    candidate = read_jsonl(folder / "predictions" / "candidate.jsonl")
    assert [row["prediction"] for row in rows] == [row["prediction"] for row in candidate]
    assert rows[0]["num_chars"] == len(rows[0]["text"]) and 0 < rows[0]["confidence"] <= 1


def test_an_empty_holdout_is_refused(world: World) -> None:
    write_jsonl(world.store.root / "prepared" / "test.jsonl", [])
    record = world.evaluate()
    assert record.refused == ("The test split is empty: nothing can be measured.",) and not record.models
    verdict = judge.run(world.spec, given_to_judge(world.spec, record), world.output("judged"), world.store)
    assert verdict.outcome == "HOLD" and verdict.refused


def test_a_damaged_champion_is_an_error_not_a_win(world: World) -> None:
    weights = world.store.root / "packages" / "old" / "model" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-5] ^= 0xFF
    weights.write_bytes(data)
    with pytest.raises(IntegrityError, match="manifest"):
        world.evaluate()


def test_another_model_in_the_champions_place_is_an_error(world: World) -> None:
    model = world.store.root / "packages" / "old" / "model"
    shutil.rmtree(model)
    shutil.copytree(world.store.resolve(world.training.uri) / "model", model)
    with pytest.raises(IntegrityError, match="wanted " + world.champion.model_digest[:12]):
        world.evaluate()


@pytest.mark.parametrize(("max_length", "cleans"), [(4, True), (16, True), (16, False)])
def test_the_champion_is_scored_as_it_is_served(world: World, max_length: int, cleans: bool) -> None:
    rows = [row | {"text": f"please\u200b {row['text']}"} for row in make_rows(240, seed=2)]
    write_jsonl(world.store.root / "prepared" / "test.jsonl", rows)
    settings = {"training": {"max_length": max_length}, "prepare": {"fix_encoding": cleans}}
    world.serve_champion(FineTuneSpec.model_validate(world.spec.model_dump(mode="json") | settings))
    folder = world.store.resolve(world.evaluate().uri)
    lines = read_jsonl(folder / "predictions" / "champion.jsonl")
    model = load_classifier(world.store.root / "packages" / "old" / "model")
    seen = [clean_text(row["text"]) if cleans else row["text"] for row in rows]
    answers = Predictor(model, Device("cpu", "fp32", 1), max_length, 64).predict(seen)
    assert [line["confidence"] for line in lines] == pytest.approx(answers.confidences.tolist(), abs=1e-6)


def test_a_champion_whose_spec_was_changed_is_an_error(world: World) -> None:
    with (world.store.root / "packages" / "old" / "spec.yaml").open("a") as file:
        file.write("\n# edited\n")
    with pytest.raises(IntegrityError, match="does not match"):
        world.evaluate()


def test_judge_takes_what_evaluate_wrote(world: World) -> None:
    record = world.evaluate()
    verdict = judge.run(world.spec, given_to_judge(world.spec, record), world.output("judged"), world.store)
    assert not any("missing" in reason or "recorded" in reason for reason in verdict.reasons), verdict.reasons
    assert [metric.name for metric in verdict.metrics] == ["accuracy", "macro_f1"]
    page = (world.store.root / "judged" / "verdict.md").read_text()
    assert "<script>" not in page and "&#60;script&#62;" in page
    assert replace(record, uri="evaluated").digest == verdict.evaluation_digest
