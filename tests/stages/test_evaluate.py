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
from ftcore.errors import BaseModelError, IntegrityError, SpecError
from ftcore.evaluation.gate.evidence import gather_evidence
from ftcore.models.devices import Device
from ftcore.models.inference import Predictor
from ftcore.models.loading import load_classifier, save_classifier
from ftcore.records import Evaluation, ModelRef, PreparedDataset, TrainingRun, record_from_dict
from ftcore.spec import FineTuneSpec
from ftcore.stages import evaluate, judge
from ftcore.store import Manifest, Output, Store
from tests.evaluation.test_own_metrics import install_metrics
from tests.standing import given_to_judge
from tests.tiny_bert import LABELS, build_tiny_bert, make_rows
from tests.tiny_families import build_base


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

    def evaluate(self, champion: bool = True, **more: ModelRef | None) -> Evaluation:
        inputs = {"prepare": self.prepared, "train": self.training, "champion": self.champion if champion else None}
        inputs |= more
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


def test_the_model_before_the_champion_is_a_baseline(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    raw = world.spec.model_dump(mode="json")
    raw["evaluation"]["baselines"] = ["majority", "previous_champion"]
    world.spec = FineTuneSpec.model_validate(raw)
    package = world.store.root / "packages" / "older"
    digest = make_classifier(world.base, package, LABELS, seed=1)  # the candidate's own weights: in a circle
    shutil.copy(world.store.root / "packages" / "old" / "spec.yaml", package / "spec.yaml")
    Manifest.of(package).write(package)
    previous = ModelRef(model_digest=digest, uri="packages/older", seq=2)
    record = world.evaluate(previous_champion=previous)
    assert [scored.role for scored in record.models] == ["candidate", "champion", "previous_champion", "majority"]
    found = {scored.role: scored for scored in record.models}
    assert found["previous_champion"].metrics == found["candidate"].metrics
    assert any("promotions go in circles" in line for line in judged(world, record))
    capsys.readouterr()
    record = world.evaluate(previous_champion=None)
    assert [scored.role for scored in record.models] == ["candidate", "champion", "majority"]
    assert "previous_champion is left out: the champion has replaced no model" in capsys.readouterr().err


def with_few_shot(world: World, base: Path, **training: object) -> None:
    raw = world.spec.model_dump(mode="json")
    raw["base_model"]["name"] = str(base)
    raw["training"] |= training
    raw["evaluation"] |= {"baselines": ["majority", "few_shot"], "few_shot": {"per_class": 2, "num_orders": 4}}
    world.spec = FineTuneSpec.model_validate(raw)


def test_a_decoder_with_examples_in_its_prompt_is_a_baseline(world: World, tmp_path: Path) -> None:
    build_base(tmp_path / "llama")
    with_few_shot(world, tmp_path / "llama")
    record = world.evaluate()
    assert [scored.role for scored in record.models] == ["candidate", "champion", "majority", "few_shot"]
    assert {"roc_auc", "brier", "ece"} <= {metric.name for metric in record.models[3].metrics}
    lines = read_jsonl(world.store.root / "evaluated" / "predictions" / "few_shot.jsonl")
    assert {line["prediction"] for line in lines} <= set(LABELS) and all(0 < line["confidence"] <= 1 for line in lines)
    told = json.loads((world.store.root / "evaluated" / "tables.json").read_text())["models"]["few_shot"]["few_shot"]
    assert told["num_examples"] == told["num_drawn"] == 6 and len(told["accuracy"]) == 4
    assert told["spread"] == pytest.approx(max(told["accuracy"]) - min(told["accuracy"]))
    again = world.evaluate()
    assert again == record
    judged(world, record)
    page = (world.store.root / "judged" / "verdict.md").read_text()
    assert "Few shot (6 examples in the prompt): accuracy by order of the examples" in page
    assert "Few shot right, by order of the examples" in (world.store.root / "judged" / "report.html").read_text()


def test_few_shot_of_an_encoder_is_refused_before_anything_is_scored(world: World) -> None:
    with_few_shot(world, world.base)
    with pytest.raises(BaseModelError, match="few_shot asks a decoder") as caught:
        world.evaluate()
    assert "nearest_centroid" in str(caught.value.hint)
    assert not (world.store.root / "evaluated" / "predictions").exists()


def test_size_and_speed_reach_the_gate(world: World) -> None:
    record = world.evaluate()
    costs = gather_evidence(record, world.store.resolve(record.uri), ()).costs
    for role in ("candidate", "champion"):
        assert 0.01 < (costs[role].size_mb or 0) < 10 and (costs[role].p95_ms or 0) > 0


def test_judge_takes_what_evaluate_wrote(world: World) -> None:
    record = world.evaluate()
    verdict = judge.run(world.spec, given_to_judge(world.spec, record), world.output("judged"), world.store)
    assert not any("missing" in reason or "recorded" in reason for reason in verdict.reasons), verdict.reasons
    assert [metric.name for metric in verdict.metrics] == ["accuracy", "macro_f1"]
    page = (world.store.root / "judged" / "verdict.md").read_text()
    cost = page.partition("## Cost")[2].partition("\n## ")[0]
    assert "| candidate |" in cost and "| champion |" in cost and "majority" not in cost
    assert "<script>" not in page and "&#60;script&#62;" in page
    assert replace(record, uri="evaluated").digest == verdict.evaluation_digest


def judged(world: World, record: Evaluation) -> tuple[str, ...]:
    """Reasons of the verdict."""
    return judge.run(world.spec, given_to_judge(world.spec, record), world.output("judged"), world.store).reasons


def test_probabilities_are_stored_measured_and_checked(world: World) -> None:
    record = world.evaluate()
    folder = world.store.resolve(record.uri)
    tables = json.loads((folder / "tables.json").read_text())["models"]
    found = {scored.role: {metric.name: metric.value for metric in scored.metrics} for scored in record.models}
    assert {"roc_auc", "brier", "ece"} <= found["champion"].keys() and "roc_auc" not in found["majority"]
    assert tables["majority"]["left_out"]["ece"] == "the model gives no probabilities"
    assert tables["champion"]["probability_classes"] == list(LABELS[:2]) and tables["candidate"]["left_out"] == {}
    cost = tables["candidate"]["cost"]
    assert 0 < cost["p50_ms"] <= cost["p95_ms"] and "cost" not in tables["majority"]
    assert 1 < cost["tokens_read"]["ci_low"] < cost["tokens_read"]["value"] < cost["tokens_read"]["ci_high"]
    path = folder / "predictions" / "candidate.probabilities.npy"
    values = np.load(path, allow_pickle=False)
    assert values.shape == (240, 3) and values.dtype == np.float32
    rows = read_jsonl(folder / "predictions" / "candidate.jsonl")
    order = tables["candidate"]["probability_classes"]
    assert [order[code] for code in values.argmax(axis=1)] == [row["prediction"] for row in rows]
    hit = np.array([values[number, order.index(row["target"])] for number, row in enumerate(rows)], dtype=float)
    wanted = ((values.astype(float) ** 2).sum(axis=1) - 2 * hit + 1).mean() / 2
    assert found["candidate"]["brier"] == pytest.approx(wanted, abs=1e-9)
    told = judged(world, record)
    assert not any("recorded" in line or "missing" in line or "probabilities" in line for line in told), told


def test_probabilities_that_do_not_fit_are_a_fault(world: World) -> None:
    record = world.evaluate()
    path = world.store.resolve(record.uri) / "predictions" / "candidate.probabilities.npy"
    values = np.load(path)
    flatter = (values + 1) / (values + 1).sum(axis=1, keepdims=True)  # the same classes, another certainty
    for changed, reason in (
        (flatter, "brier of the candidate is recorded as"),
        (np.roll(values, 1, axis=1), "not the likeliest class"),
        (values[:-1], "shape"),
        (values * np.inf, "hold no probabilities"),
    ):
        np.save(path, changed)
        assert any(reason in line for line in judged(world, record)), reason
    path.write_bytes(b"no array")
    assert any("cannot be read" in line for line in judged(world, record))
    path.unlink()
    assert any("roc_auc of the candidate is recorded, its rows do not" in line for line in judged(world, record))


def test_a_users_own_metric_is_measured_decides_and_is_checked(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").mkdir()
    install_metrics(tmp_path / "own", monkeypatch)
    raw = world.spec.model_dump(mode="json")
    raw["evaluation"]["metrics"] = ["same_length"]
    raw["gate"] |= {"metric": "own.same_length", "floors": {"own.same_length": 0.0, "roc_auc": 0.0}}
    world.spec = FineTuneSpec.model_validate(raw)
    record = world.evaluate()
    path = world.store.resolve(record.uri) / "predictions" / "candidate.jsonl"
    rows = read_jsonl(path)
    wanted = [float(len(row["target"]) == len(row["prediction"])) for row in rows]
    assert [row["own.same_length"] for row in rows] == wanted
    own = next(metric for metric in record.models[0].metrics if metric.name == "own.same_length")
    assert own.value == pytest.approx(np.mean(wanted)) and own.ci_low <= own.value <= own.ci_high
    verdict = judge.run(world.spec, given_to_judge(world.spec, record), world.output("judged"), world.store)
    assert verdict.metrics[0].name == "own.same_length" and not any("recorded" in line for line in verdict.reasons)
    assert any("own.same_length" in line for line in verdict.reasons)
    rows[0]["own.same_length"] = 1.0 - rows[0]["own.same_length"]
    write_jsonl(path, rows)
    assert any("own.same_length of the candidate is recorded as" in line for line in judged(world, record))
    rows[0]["own.same_length"] = 7
    write_jsonl(path, rows)
    assert any("1 rows have no own.same_length" in line for line in judged(world, record))


def test_an_own_metric_that_is_not_installed_stops_before_anything_is_scored(world: World) -> None:
    raw = world.spec.model_dump(mode="json")
    raw["evaluation"]["metrics"] = ["nobody_has_it"]
    world.spec = FineTuneSpec.model_validate(raw)
    with pytest.raises(SpecError, match="'nobody_has_it' is installed 0 times"):
        world.evaluate()
    assert not (world.store.root / "evaluated" / "predictions").exists()
