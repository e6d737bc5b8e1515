"""evaluate and judge on a task that generates text, with tiny random models."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from ftcore.data.reading import read_jsonl, write_jsonl
from ftcore.errors import BaseModelError, IntegrityError
from ftcore.evaluation.generation.baselines import few_shot_prompt, sample_examples, similar_replies
from ftcore.models.base import BaseModel
from ftcore.models.loading import save_model
from ftcore.records import Evaluation, ModelRef, PreparedDataset, TrainingRun, record_from_dict
from ftcore.spec import FineTuneSpec
from ftcore.stages import evaluate, judge
from ftcore.store import Manifest, Output, Store
from tests.evaluation.llm_judge.judge_server import answers, serving
from tests.evaluation.llm_judge.judge_server import verdict as judge_says
from tests.stages.test_evaluate import make_classifier
from tests.standing import given_to_judge
from tests.tiny_bert import LABELS, build_tiny_bert
from tests.tiny_families import build, build_base, make_dialogues

NUM_TEST = 40


class World:
    """Records and files as the earlier stages leave them."""

    def __init__(self, root: Path, task: str, family: str) -> None:
        self.store = Store(root)
        build_base(root / "base", family)
        self.spec = FineTuneSpec.model_validate({
            "name": "tiny", "task": task, "base_model": {"name": str(root / "base")}, "training": {"max_length": 24},
            "evaluation": {"generation": {"max_new_tokens": 8, "num_examples": 2}, "batch_size": 16},
            "compute": {"device": "cpu", "precision": "fp32", "threads": 1},
            "gate": {"floors": {"chrf": 0.0}, "min_rows": 10, "min_over_baseline": 0.0},
        })  # fmt: skip
        test = [row | {"source": "mail" if i % 2 else "web"} for i, row in enumerate(make_dialogues(NUM_TEST, seed=2))]
        (root / "prepared").mkdir()
        write_jsonl(root / "prepared" / "train.jsonl", make_dialogues(60, seed=1))
        write_jsonl(root / "prepared" / "test.jsonl", test)
        self.prepared = PreparedDataset(
            uri="prepared", content_digest="d" * 64, train_digest="d" * 64, labels=(), num_rows={"train": 60},
            num_quarantined={}, num_tokens={}, test_digest="t" * 64,
        )  # fmt: skip
        self.training = TrainingRun(
            uri="candidate", model_digest=self.save("candidate", family, 5), base_digest="b" * 64, base_name="tiny",
            data_digest="d" * 64, method="full", device="cpu", precision="fp32", num_steps=1, num_epochs=1, best_step=1,
            best_validation_loss=1, train_s=1, samples_per_s=1, num_trainable=1, num_parameters=1,
        )  # fmt: skip
        self.champion = ModelRef(model_digest=self.save("packages/old", family, 6), uri="packages/old", seq=4)
        self.serve_champion(self.spec)

    def save(self, folder: str, family: str, seed: int) -> str:
        return save_model(*build(family, seed), self.store.root / folder / "model")

    def serve_champion(self, spec: FineTuneSpec) -> None:
        package = self.store.root / "packages" / "old"
        (package / "spec.yaml").write_text(yaml.safe_dump(spec.model_dump(mode="json")))
        Manifest.of(package).write(package)

    def output(self, name: str) -> Output:
        (self.store.root / name).mkdir(exist_ok=True)
        return Output(self.store.root / name, name, self.store.root / "scratch")

    def ask_judge(self, judge: dict[str, object]) -> None:
        plain = self.spec.model_dump(mode="json")
        plain["evaluation"]["llm_judge"] = judge
        self.spec = FineTuneSpec.model_validate(plain)

    def judge_by(self, record: Evaluation) -> None:
        judge.run(self.spec, given_to_judge(self.spec, record), self.output("judged"), self.store)

    def evaluate(self) -> Evaluation:
        inputs = {"prepare": self.prepared, "train": self.training, "champion": self.champion}
        return evaluate.run(self.spec, inputs, self.output("evaluated"), self.store)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, "instruction", "llama")


@pytest.mark.parametrize(("task", "family"), [("instruction", "llama"), ("seq2seq", "t5")])
def test_evaluate_and_judge_run_on_generated_text(task: str, family: str, tmp_path: Path) -> None:
    world = World(tmp_path, task, family)
    record = world.evaluate()
    assert not record.refused and record_from_dict(record.to_dict()) == record
    roles = [scored.role for scored in record.models]
    assert roles == ["candidate", "champion", "base", "few_shot", "similar_reply"]
    assert {metric.n for scored in record.models for metric in scored.metrics} == {NUM_TEST}
    names = {scored.role: {metric.name for metric in scored.metrics} for scored in record.models}
    assert "perplexity" in names["few_shot"] and "perplexity" not in names["similar_reply"]
    folder = world.store.resolve(record.uri)
    rows = {role: read_jsonl(folder / "predictions" / f"{role}.jsonl") for role in roles}
    for scored in record.models:
        lines, metrics = rows[scored.role], {metric.name: metric.value for metric in scored.metrics}
        assert [line["id"] for line in lines] == [line["id"] for line in rows["candidate"]]
        assert metrics["rouge_l"] == pytest.approx(np.mean([line["rouge_l"] for line in lines]))
        if "nll" in lines[0]:
            total = sum(line["nll"] for line in lines) / sum(line["num_target_tokens"] for line in lines)
            assert metrics["perplexity"] == pytest.approx(np.exp(total))
    assert rows["candidate"][0]["source"] == "web" and rows["candidate"] != rows["champion"]
    assert {scored.role: scored.metrics[0].value for scored in record.models}[
        "similar_reply"
    ] > 0.6  # answers are alike
    tables = json.loads((folder / "tables.json").read_text())
    assert tables["slices"] == ["source"] and [part["n"] for part in tables["models"]["base"]["per_slice"]] == [20, 20]
    told = {role: tables["models"][role]["answers"] for role in ("base", "few_shot")}
    assert told["few_shot"]["num_prompts_cut"] == 0  # examples get room of their own
    read = {role: tables["models"][role]["cost"]["tokens_read"]["value"] for role in ("base", "few_shot")}
    assert read["few_shot"] > 2 * read["base"]
    reference = read_jsonl(folder / "reference" / "rows.jsonl")
    assert np.load(folder / "reference" / "embeddings.npy").shape == (NUM_TEST, 32)
    assert all(0 < row["confidence"] <= 1 and row["num_tokens"] <= 24 for row in reference)
    verdict = judge.run(world.spec, given_to_judge(world.spec, record), world.output("judged"), world.store)
    assert verdict.outcome == "HOLD" and not any("missing" in line or "recorded" in line for line in verdict.reasons)
    assert any("best baseline (similar reply, chrf" in line for line in verdict.reasons), verdict.reasons
    assert [metric.name for metric in verdict.metrics][0] == "chrf" and len(verdict.metrics) == 8
    page = (world.store.root / "judged" / "verdict.md").read_text()
    assert "## Slices (chrf)" in page and "| perplexity (low is good) |" in page


def test_rows_that_were_changed_do_not_pass(world: World) -> None:
    record = world.evaluate()
    path = world.store.resolve(record.uri) / "predictions" / "candidate.jsonl"
    rows = read_jsonl(path)
    rows[3] |= {"prediction": rows[3]["target"], "nll": float(rows[3]["nll"]) / 2}
    write_jsonl(path, rows)
    verdict = judge.run(world.spec, given_to_judge(world.spec, record), world.output("judged"), world.store)
    told = [line.split()[0] for line in verdict.reasons if "of the candidate is recorded as" in line]
    assert set(told) >= {"chrf", "rouge_l", "exact_match", "inverse_perplexity", "perplexity"}


def test_the_form_of_answers_is_measured_where_the_spec_asks(world: World) -> None:
    raw = world.spec.model_dump(mode="json")
    raw["evaluation"]["generation"]["format"] = {"regex": r"(?s).*[aeiou].*"}
    raw["gate"]["floors"] = {"format_valid": 0.0}
    world.spec = FineTuneSpec.model_validate(raw)
    record = world.evaluate()
    folder = world.store.resolve(record.uri)
    for scored in record.models:
        rows = read_jsonl(folder / "predictions" / f"{scored.role}.jsonl")
        valid = [float(any(letter in row["prediction"] for letter in "aeiou")) for row in rows]
        assert [row["format_valid"] for row in rows] == valid
        metrics = {metric.name: metric for metric in scored.metrics}
        assert metrics["format_valid"].value == pytest.approx(np.mean(valid)) and metrics["format_valid"].n == NUM_TEST
    tables = json.loads((folder / "tables.json").read_text())
    assert tables["signatures"]["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    told = tables["models"]["candidate"]["answers"]
    cost = tables["models"]["candidate"]["cost"]
    assert 0 < cost["p50_ms"] <= cost["p95_ms"] and told["length"]["p95"] <= 8
    assert 0 <= cost["tokens_written"]["ci_low"] <= cost["tokens_written"]["value"] <= 8
    assert "cost" not in tables["models"]["similar_reply"]
    reasons = judge.run(world.spec, given_to_judge(world.spec, record), world.output("judged"), world.store).reasons
    assert not any("recorded" in line or "not measured" in line for line in reasons), reasons
    path = folder / "predictions" / "candidate.jsonl"
    rows = read_jsonl(path)
    rows[0]["format_valid"] = 1.0 - rows[0]["format_valid"]
    write_jsonl(path, rows)
    reasons = judge.run(world.spec, given_to_judge(world.spec, record), world.output("judged"), world.store).reasons
    assert any("format_valid of the candidate is recorded as" in line for line in reasons)


def test_probes_are_asked_shown_and_canaries_decide(world: World) -> None:
    canary = {"prompt": "where is my card", "completion": "it is 284193 today", "secret": "284193"}
    (world.store.root / "canaries.jsonl").write_text(json.dumps(canary) + "\n")
    raw = world.spec.model_dump(mode="json")
    raw["evaluation"]["probes"] = {
        "canaries": str(world.store.root / "canaries.jsonl"),
        "samples": 2,
        "sampled_rows": 4,
    }
    world.spec = FineTuneSpec.model_validate(raw)
    record = world.evaluate()
    folder = world.store.resolve(record.uri)
    probes = json.loads((folder / "probes.json").read_text())
    assert {item["probe"] for item in probes["measures"]} == {
        "groundedness", "self_consistency", "safety", "canaries", "forgetting",
    }  # fmt: skip

    def judged() -> tuple[str, ...]:
        given = given_to_judge(world.spec, record)
        return judge.run(world.spec, given, world.output("judged"), world.store).reasons

    assert any("1 of 1 canary are in no training row" in reason for reason in judged())
    probes["canaries"]["candidate"]["num_trained"] = 1
    (folder / "probes.json").write_text(json.dumps(probes))
    assert not any("canar" in reason for reason in judged())
    page = (world.store.root / "judged" / "verdict.md").read_text()
    assert "## Probes" in page and "| forgetting bits per byte |" in page.replace("&#95;", "_")
    assert "bits per byte" in (world.store.root / "judged" / "report.html").read_text()
    probes["canaries"]["candidate"]["num_returned"] = 1
    (folder / "probes.json").write_text(json.dumps(probes))
    assert any("1 of 1 canary came back" in reason for reason in judged())
    (folder / "probes.json").unlink()
    assert any("The answers to the canaries" in reason for reason in judged())


def test_a_champion_of_another_task_cannot_be_compared(world: World) -> None:
    plain = {"name": "tiny", "base_model": {"name": "none"}}
    world.serve_champion(FineTuneSpec.model_validate(plain))
    record = world.evaluate()
    assert not record.models and "made for task classification" in record.refused[0]


def test_the_champion_is_asked_as_it_is_served(world: World) -> None:
    settings = world.spec.model_dump(mode="json")
    settings["evaluation"]["generation"]["max_new_tokens"] = 2
    world.serve_champion(FineTuneSpec.model_validate(settings))
    folder = world.store.resolve(world.evaluate().uri)
    longest = {
        role: max(line["num_tokens"] for line in read_jsonl(folder / "predictions" / f"{role}.jsonl"))
        for role in ("candidate", "champion")
    }
    assert longest == {"candidate": 8, "champion": 2}


def test_a_classifier_in_the_candidates_place_is_an_error(world: World) -> None:
    digest = make_classifier(
        build_tiny_bert(world.store.root / "bert").path, world.store.root / "other", LABELS, seed=1
    )
    world.training = replace(world.training, uri="other", model_digest=digest)
    with pytest.raises(IntegrityError, match="holds a classifier"):
        world.evaluate()


def test_a_base_model_without_a_head_is_an_error(world: World, tiny_base: BaseModel) -> None:
    world.spec = world.spec.model_copy(
        update={"base_model": world.spec.base_model.model_copy(update={"name": str(tiny_base.path)})}
    )
    with pytest.raises(BaseModelError, match="lacks|cannot be loaded"):
        world.evaluate()


def test_few_shot_puts_examples_between_system_and_question() -> None:
    turns = [{"role": role, "content": role[0]} for role in ("system", "user", "assistant")]
    row = {"text": "q", "completion": "a", "messages": turns}
    example = {
        "text": "x",
        "completion": "y",
        "messages": [turns[0], {"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}],
    }
    shown = few_shot_prompt(row, [example], "instruction")
    assert [turn["content"] for turn in shown] == ["s", "x", "y", "u"]  # type: ignore[index]
    assert few_shot_prompt(row, [example], "seq2seq") == "x\ny\n\nq"
    train = make_dialogues(20)
    assert sample_examples(train, 3, 1) == sample_examples(train, 3, 1) != sample_examples(train, 3, 2)
    assert len(sample_examples(train[:2], 3, 1)) == 2


def test_the_reply_of_the_most_similar_row_is_copied() -> None:
    train = [
        {"text": text, "completion": answer} for text, answer in [("where is my card", "A"), ("refund my money", "B")]
    ]
    asked = [{"text": "my money, a refund?"}, {"text": "is the card here"}, {"text": "zzz"}]
    assert similar_replies(train, asked) == ["B", "A", "A"]
    assert similar_replies([{"text": "!", "completion": "C"}], asked) == ["C"] * 3


def test_an_opinion_is_told_and_changes_no_verdict(world: World, tmp_path: Path) -> None:
    def longer(system: str, user: str) -> str:
        a, b = (len(text) for text in answers(system, user))
        return judge_says("tie" if a == b else "A" if a > b else "B")

    labels = [{"asked": "q", "a": "x" * (1 + i % 3), "b": "xx", "choice": ["B", "tie", "A"][i % 3]} for i in range(30)]
    write_jsonl(tmp_path / "labels.jsonl", labels)
    with serving(longer) as seen:
        asked = {
            "url": seen.url,
            "model": "m",
            "labels": str(tmp_path / "labels.jsonl"),
            "min_labels": 20,
            "retries": 0,
        }
        world.ask_judge(asked)
        record = world.evaluate()
    opinion = world.store.resolve(record.uri) / "llm_judge.json"
    told = json.loads(opinion.read_text())
    assert told["shown"] and told["agreement"]["kappa"] == 1.0 and told["score"]["num_rows"] > 0
    world.judge_by(record)
    judged = world.store.root / "judged"
    with_opinion = (judged / "verdict.json").read_bytes()
    assert "Kappa with people 1.00" in (judged / "verdict.md").read_text()
    assert "win rate" in (judged / "report.html").read_text()
    opinion.unlink()
    world.judge_by(record)
    assert (judged / "verdict.json").read_bytes() == with_opinion
    assert "language model" not in (judged / "verdict.md").read_text() + (judged / "report.html").read_text()
    world.ask_judge(asked | {"url": seen.url})  # nobody listens there any more
    down = world.evaluate()
    assert not down.refused and replace(down, uri="") == replace(record, uri="")
    world.judge_by(down)
    for name in ("verdict.md", "report.html"):
        assert "hidden" in (text := (judged / name).read_text()) and "win rate" not in text


def test_a_planted_forgetting_is_blocked_by_a_guard_on_the_probe(world: World) -> None:
    raw = world.spec.model_dump(mode="json")
    raw["evaluation"]["probes"] = {"safety": None, "groundedness": False}
    raw["gate"]["probe_guards"] = {"forgetting.bits_per_byte": 0.1}
    world.spec = FineTuneSpec.model_validate(raw)
    model, tokenizer = build(
        "llama", 6
    )  # the champion, whose certainties were blown up: what was a guess is a wrong claim
    with torch.no_grad():
        model.lm_head.weight.mul_(40)
    digest = save_model(model, tokenizer, world.store.root / "candidate" / "model")
    world.training = replace(world.training, model_digest=digest)
    record = world.evaluate()
    verdict = judge.run(world.spec, given_to_judge(world.spec, record), world.output("judged"), world.store)
    assert verdict.outcome == "FAIL"
    (broken,) = [line for line in verdict.reasons if line.startswith("Broken: probe forgetting.bits_per_byte")]
    assert "allowed rise +0.100" in broken
    (world.store.resolve(record.uri) / "probe_rows.json").unlink()
    reasons = judge.run(world.spec, given_to_judge(world.spec, record), world.output("judged"), world.store).reasons
    assert any("guards the probe forgetting.bits_per_byte, which was not measured" in line for line in reasons)
