"""Weights held in bfloat16 change the speed of a run, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.spec import MethodSpec
from ftcore.training.attempts import build_model
from ftcore.training.methods import frozen
from ftcore.training.tasks import make_task
from tests.tiny_bert import LABELS
from tests.tiny_runs import BASICS, FAMILIES, build_bases, rows_of, run, same_run

BF16 = Device("cpu", "bf16", 1)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BaseModel]:
    return build_bases(tmp_path_factory.mktemp("bases"))


@pytest.mark.parametrize("method", ["lora", "ia3", "ln_tuning"])
@pytest.mark.parametrize("task", FAMILIES)
def test_the_run_is_the_same_to_the_last_bit(
    bases: dict[str, BaseModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str, method: str
) -> None:
    settings = {"method": MethodSpec(name=method), "num_rows": 24, "epochs": 1, "device": BF16}
    narrowed = run(bases, task, tmp_path / "narrowed", **settings)
    monkeypatch.setattr(frozen, "narrow", lambda model, method: None)
    plain = run(bases, task, tmp_path / "plain", **settings)
    assert same_run(narrowed, plain)


def model_of(bases: dict[str, BaseModel], task: str, method: MethodSpec) -> nn.Module:
    from ftcore.spec import TrainingSpec

    labels = LABELS if task == "classification" else ()
    job = make_task(task, rows_of(task, 8), rows_of(task, 8), labels, bases[task], TrainingSpec(**BASICS))  # type: ignore[arg-type]
    return build_model(job, method)


def dtypes(model: nn.Module) -> dict[str, torch.dtype]:
    return {name: parameter.dtype for name, parameter in model.named_parameters()}


def test_linear_weights_shrink_and_come_back_as_they_were(bases: dict[str, BaseModel]) -> None:
    method = MethodSpec(name="lora")
    model, before = (model_of(bases, "classification", method) for _ in range(2))
    frozen.narrow(model, method)
    narrowed = {name for name, dtype in dtypes(model).items() if dtype == torch.bfloat16}
    assert any("attention" in name and "base_layer.weight" in name for name in narrowed)
    assert not any(
        word in name for name in narrowed for word in ("lora_", "classifier.modules_to_save", "LayerNorm", "embed")
    )
    frozen.widen(model, lambda: before)
    after, wanted = model.state_dict(), before.state_dict()
    assert all(torch.equal(after[name], wanted[name]) and after[name].dtype == wanted[name].dtype for name in wanted)


def test_what_embeddings_share_stays(bases: dict[str, BaseModel]) -> None:
    method = MethodSpec(name="lora")
    model = model_of(bases, "instruction", method)
    assert model.config.tie_word_embeddings
    frozen.narrow(model, method)
    assert model.get_input_embeddings().weight.dtype == model.get_output_embeddings().weight.dtype == torch.float32
    assert torch.bfloat16 in dtypes(model).values()


@pytest.mark.parametrize("method", [MethodSpec(), MethodSpec(name="lora", dora=True)])
def test_methods_that_read_the_weights_themselves_keep_them(bases: dict[str, BaseModel], method: MethodSpec) -> None:
    model = model_of(bases, "classification", method)
    frozen.narrow(model, method)
    assert set(dtypes(model).values()) == {torch.float32}
