"""Instruction tuning and encoder-decoders: they learn, resume exactly, and leave a model that answers the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForMaskedLM, AutoTokenizer
from trl.trainer import utils as trl_utils

from ftcore.errors import BaseModelError, DataRefused
from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.spec import MethodSpec, TrainingSpec
from ftcore.training.finetune import FineTuned, fine_tune
from ftcore.training.instruction import SCORED_AT_A_TIME
from ftcore.training.tasks import make_task
from ftcore.training.trainer import DurableTrainer
from tests.tiny_bert import LABELS, build_tiny_bert, make_rows, with_mask_token
from tests.tiny_families import build_tiny, make_chats

TRAIN, VALIDATION = make_chats(64), make_chats(16, seed=1)
SETTINGS = TrainingSpec(batch_size=8, epochs=6, learning_rate=1e-2, max_length=64, eval_every=1.5, patience=0)
TASKS = {"llama": "instruction", "qwen2": "instruction", "t5": "seq2seq", "bart": "seq2seq"}


class Crash(BaseException):
    """Not an Exception, so that no handler swallows it."""


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BaseModel]:
    folder = tmp_path_factory.mktemp("bases")
    return {family: build_tiny(family, folder / family) for family in TASKS}


@pytest.fixture
def tune(bases: dict[str, BaseModel], tmp_path: Path) -> Callable[..., FineTuned]:
    def run(family: str, name: str = "run", method: MethodSpec = MethodSpec(), **changes: Any) -> FineTuned:
        task: Any = TASKS[family]
        return fine_tune(
            TRAIN, VALIDATION, task=task, base=bases[family], method=method,
            training=SETTINGS.model_copy(update=changes), device=Device("cpu", "fp32", 1),
            checkpoint_dir=tmp_path / name / "checkpoints", output_dir=tmp_path / name / "output",
        )  # fmt: skip

    return run


@pytest.mark.parametrize("family", list(TASKS))
def test_every_family_learns_and_reloads(family: str, tune: Callable[..., FineTuned], tmp_path: Path) -> None:
    tuned = tune(family)
    losses = [seen.loss for seen in tuned.history.validations]
    assert losses[-1] < losses[0] < math.log(60)
    assert (tmp_path / "run" / "output" / "model" / "MANIFEST.json").is_file()
    assert AutoTokenizer.from_pretrained(tmp_path / "run" / "output" / "model").eos_token == "</s>"


@pytest.mark.parametrize(("cut", "verdict"), [(0, "ok"), (20, "doubt"), (40, "fault")])
def test_answers_that_are_cut_do_not_teach_to_stop(bases: dict[str, BaseModel], cut: int, verdict: str) -> None:
    rows = [{**row, "completion": "refund " * 20 if at < cut else row["completion"]} for at, row in enumerate(TRAIN)]
    training = SETTINGS.model_copy(update={"max_length": 40})
    task = make_task("seq2seq", rows, VALIDATION, (), bases["t5"], training)
    end = task.tokenizer.eos_token_id
    assert [row["labels"][-1] == end for row in task.train] == [at >= cut for at in range(len(rows))]
    answers, stop, _ = task.lint(task.load(None, None))
    assert (answers.verdict, stop.verdict) == (verdict, "ok")
    assert cut == 0 or f"{cut} of 64 rows lost the end of their answer" in answers.message


@pytest.mark.parametrize(
    ("task", "family", "gone"),
    [("classification", "bert", "encoder.layer.1"), ("classification", "llama", "layers.1.mlp"),
     ("instruction", "llama", "layers.1.mlp"), ("seq2seq", "t5", "decoder.block.1")],
)  # fmt: skip
def test_a_base_model_with_weights_missing_is_refused(task: Any, family: str, gone: str, tmp_path: Path) -> None:
    """transformers would fill them with random numbers and say so in a log alone."""
    base = build_tiny_bert(tmp_path) if family == "bert" else build_tiny(family, tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    save_file({name: item for name, item in weights.items() if gone not in name}, tmp_path / "model.safetensors",
              {"format": "pt"})  # fmt: skip
    rows = make_rows(12) if task == "classification" else TRAIN
    job = make_task(task, rows, rows, LABELS if task == "classification" else (), base, SETTINGS)
    with pytest.raises(BaseModelError, match=rf"lacks \d+ weights? of .*{gone}"):
        job.load(None, None)


def test_an_encoder_does_not_write(tmp_path: Path) -> None:
    base = with_mask_token(build_tiny_bert(tmp_path))
    AutoModelForMaskedLM.from_pretrained(base.path).save_pretrained(base.path)
    job = make_task("instruction", TRAIN, VALIDATION, (), build_tiny("llama", tmp_path / "llama"), SETTINGS)
    job.base = base
    with pytest.raises(BaseModelError, match="is an encoder"):
        job.load(None, None)


@pytest.mark.parametrize("family", ["llama", "t5"])
@pytest.mark.parametrize("method", [MethodSpec(), MethodSpec(name="lora", rank=4)], ids=["full", "lora"])
def test_a_resumed_run_equals_an_unbroken_one(
    family: str, method: MethodSpec, tune: Callable[..., FineTuned], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tune(family, "whole", method, epochs=4)
    original = DurableTrainer.training_step

    def training_step(self: DurableTrainer, *args: Any, **kwargs: Any) -> torch.Tensor:
        if self.state.global_step == 17:
            raise Crash
        return original(self, *args, **kwargs)

    monkeypatch.setattr(DurableTrainer, "training_step", training_step)
    with pytest.raises(Crash):
        tune(family, "broken", method, epochs=4)
    monkeypatch.undo()
    resumed = tune(family, "broken", method, epochs=4)
    assert resumed.resumed_from == 12
    assert resumed.model_digest == whole.model_digest
    assert resumed.history.to_json() == whole.history.to_json()


def test_a_decoder_measures_how_many_answer_tokens_are_right(tune: Callable[..., FineTuned]) -> None:
    tuned = tune("llama", epochs=16)
    assert tuned.history.validations[-1].accuracy == pytest.approx(1.0, abs=0.2)


def test_rows_without_an_answer_left_are_refused(tune: Callable[..., FineTuned]) -> None:
    with pytest.raises(DataRefused, match="no rows"):
        fine_tune(
            [], VALIDATION, task="instruction", base=None, method=MethodSpec(), training=SETTINGS,  # type: ignore[arg-type]
            device=Device("cpu", "fp32", 1), checkpoint_dir=Path("x"), output_dir=Path("x"),
        )  # fmt: skip


def test_an_encoder_decoder_is_no_causal_model(bases: dict[str, BaseModel], tmp_path: Path) -> None:
    with pytest.raises(BaseModelError):
        fine_tune(
            TRAIN, VALIDATION, task="instruction", base=bases["t5"], method=MethodSpec(), training=SETTINGS,
            device=Device("cpu", "fp32", 1), checkpoint_dir=tmp_path / "c", output_dir=tmp_path / "o",
        )  # fmt: skip


@pytest.mark.skipif(torch.cuda.is_available(), reason="the limit is for CPUs")
def test_few_tokens_are_scored_at_a_time(tune: Callable[..., FineTuned], monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores of the whole vocabulary for all tokens of a pass would take more memory than the rest of a training."""
    kernel, seen = trl_utils._ChunkedLogProbFunction.apply, []
    score = Mock(side_effect=lambda *arguments: seen.append(arguments[5]) or kernel(*arguments))
    monkeypatch.setattr(trl_utils._ChunkedLogProbFunction, "apply", score)
    tune("llama", epochs=1)
    assert set(seen) == {SCORED_AT_A_TIME}
