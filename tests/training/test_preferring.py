"""Ratings move the model towards the better answers, measured from the model as it was."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from ftcore.errors import DataRefused, UsageError
from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.spec import MethodSpec, PreferSpec, TrainingSpec
from ftcore.training.conversations import encode
from ftcore.training.finetune import run_job
from ftcore.training.preferring import BlockSampler, make_preference
from ftcore.training.trainer import DurableTrainer
from tests.tiny_families import build_tiny, make_chats, make_ratings

SETTINGS = TrainingSpec(batch_size=8, max_length=64)
HELD_OUT = make_chats(6, seed=1)
CPU = Device("cpu", "fp32", 1)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    return build_tiny("llama", tmp_path_factory.mktemp("llama"))


def likelihood(folder: Path, job: Any, answer: str) -> float:
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    turns = [{"role": "user", "content": "where is card 99?"}, {"role": "assistant", "content": answer}]
    row = encode(job.tokenizer, turns, 64)
    ids, labels = torch.tensor([row.input_ids]), torch.tensor([row.labels])
    with torch.inference_mode():
        return -float(model(input_ids=ids, labels=labels).loss)


@pytest.mark.parametrize("algorithm", ["kto", "dpo"])
def test_the_better_answer_gains(algorithm: Any, tuned: BaseModel, tmp_path: Path) -> None:
    prefer = PreferSpec(algorithm=algorithm, data=["x"], epochs=2, learning_rate=5e-3)
    job = make_preference(make_ratings(40, pairs=algorithm == "dpo"), HELD_OUT, tuned, SETTINGS, prefer)
    done = run_job(job, MethodSpec(), Device("cpu", "fp32", 1), tmp_path / "checkpoints", tmp_path / "output")
    start = {"dpo": math.log(2), "kto": 0.5}[algorithm]  # loss of a model that is its own reference
    assert done.history.loss[0] == pytest.approx(start, abs=1e-4)
    assert done.best_validation_loss < start - 0.02
    gain = {
        answer: likelihood(tmp_path / "output" / "model", job, answer) - likelihood(tuned.path, job, answer)
        for answer in ("lost", "refund")
    }
    assert gain["lost"] > gain["refund"] + 0.1
    if algorithm == "dpo":
        assert done.history.validations[-1].accuracy == 1.0


@pytest.mark.parametrize("method", [
    MethodSpec(name="lora", rank=4), MethodSpec(name="lora", rank=4, init="pissa"), MethodSpec(name="ia3"),
])  # fmt: skip
@pytest.mark.parametrize("algorithm", ["kto", "dpo"])
def test_an_adapter_is_measured_from_the_model_without_it(
    method: MethodSpec, algorithm: Any, tuned: BaseModel, tmp_path: Path
) -> None:
    prefer = PreferSpec(algorithm=algorithm, data=["x"], epochs=1, learning_rate=1e-3)
    job = make_preference(make_ratings(20, pairs=algorithm == "dpo"), HELD_OUT, tuned, SETTINGS, prefer)
    done = run_job(job, method, CPU, tmp_path / "checkpoints", tmp_path / "output")
    assert done.history.loss[0] == pytest.approx({"dpo": math.log(2), "kto": 0.5}[algorithm], abs=1e-4)
    checks = {finding.check: finding.verdict for finding in done.findings}
    assert checks.keys() == {"ratings", "round trip", "embeddings", "padding", "memory"}
    assert checks["ratings"] == checks["padding"] == checks["memory"] == "ok"


def test_kto_never_gets_single_rows(
    tuned: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prefer = PreferSpec(data=["x"], epochs=1)
    job = make_preference(make_ratings(20), HELD_OUT, tuned, SETTINGS, prefer)

    def full(self: DurableTrainer, *args: Any, **kwargs: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(DurableTrainer, "training_step", full)
    with pytest.raises(UsageError, match="Memory ran out at step 1 with 2 rows per forward pass"):
        run_job(job, MethodSpec(), CPU, tmp_path / "checkpoints", None)
    assert "again with 4" in capsys.readouterr().err


def test_ratings_of_one_kind_are_a_doubt(tuned: BaseModel) -> None:
    good = [row for row in make_ratings(40) if row["rating"]]
    job = make_preference(good, HELD_OUT, tuned, SETTINGS, PreferSpec(data=["x"]))
    assert job.lint(torch.nn.Module())[0].verdict == "doubt"
    pairs = [{**row, "rejected": row["chosen"]} for row in make_ratings(20, pairs=True)]
    job = make_preference(pairs, HELD_OUT, tuned, SETTINGS, PreferSpec(algorithm="dpo", data=["x"]))
    assert job.lint(torch.nn.Module())[0].verdict == "fault"
    long = [{**row, "completion": "lost " * 60} for row in good]
    job = make_preference(long, HELD_OUT, tuned, SETTINGS, PreferSpec(data=["x"]))
    assert "lose their end" in job.lint(torch.nn.Module())[0].message


def test_held_out_prompts_are_not_learnt(tuned: BaseModel) -> None:
    ratings = [*make_ratings(60), *make_ratings(60)]
    job = make_preference(ratings, HELD_OUT, tuned, SETTINGS, PreferSpec(data=["x"]))
    read, kept = ({row["prompt"][0]["content"] for row in rows} for rows in (job.rated, job.rated_held_out))
    assert not read & kept and len(read | kept) == 60
    assert 0 < len(kept) < 20


def test_ratings_that_do_not_do_are_refused(tuned: BaseModel) -> None:
    prefer = PreferSpec(data=["x"])
    with pytest.raises(DataRefused, match="saw training.batch_size 1"):
        make_preference(make_ratings(9), HELD_OUT, tuned, SETTINGS.model_copy(update={"batch_size": 1}), prefer)
    with pytest.raises(DataRefused, match="saw training.micro_batch_size 1"):
        make_preference(make_ratings(9), HELD_OUT, tuned, SETTINGS.model_copy(update={"micro_batch_size": 1}), prefer)
    with pytest.raises(DataRefused, match="wanted at least two with different prompts"):
        make_preference(make_ratings(1), HELD_OUT, tuned, SETTINGS, prefer)
    with pytest.raises(DataRefused, match="9 of 9 rated prompts leave no room"):
        make_preference(make_ratings(10)[:9], HELD_OUT, tuned, SETTINGS.model_copy(update={"max_length": 12}), prefer)


@given(st.integers(0, 60), st.integers(1, 9), st.integers(0, 3), st.integers(0, 3))
def test_batches_change_places_and_stay_whole(rows: int, batch: int, seed: int, epoch: int) -> None:
    sampler = BlockSampler(rows, batch, seed)
    sampler.set_epoch(epoch)
    order = list(sampler)
    assert sorted(order) == list(range(rows)) and order == list(sampler)
    for start in range(0, rows, batch):
        block = order[start : start + batch]
        assert block == list(range(block[0], block[0] + len(block)))
