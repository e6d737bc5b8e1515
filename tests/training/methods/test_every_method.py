"""Each method trains, moves the head, merges or is stored apart, and reloads the same (fine_tune checks that) on each family."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

from ftcore.errors import BaseModelError
from ftcore.models.base import BaseModel, saved_model
from ftcore.models.loading import load_model
from ftcore.spec import MethodSpec
from ftcore.training import finetune
from ftcore.training.finetune import FineTuned
from ftcore.training.trainer import DurableTrainer
from tests.tiny_bert import LABELS

METHODS: dict[str, dict[str, Any]] = {
    "lora": {"name": "lora", "rank": 4},
    "dora": {"name": "lora", "rank": 4, "dora": True},
    "rslora": {"name": "lora", "rank": 4, "rslora": True},
    "pissa": {"name": "lora", "rank": 4, "init": "pissa"},
    "pissa_niter": {"name": "lora", "rank": 4, "init": "pissa_niter_4", "rslora": True},
    "olora": {"name": "lora", "rank": 4, "init": "olora"},
    "olora_dora": {"name": "lora", "rank": 4, "init": "olora", "dora": True},
    "orthogonal": {"name": "lora", "rank": 4, "init": "orthogonal"},
    "mica": {"name": "lora", "rank": 4, "init": "mica"},
    "ia3": {"name": "ia3"},
    "ln_tuning": {"name": "ln_tuning"},
    "prefix": {"name": "prefix_tuning", "virtual_tokens": 4},
    "prompt": {"name": "prompt_tuning", "virtual_tokens": 4},
    "p_tuning": {"name": "p_tuning", "virtual_tokens": 4},
    "vera": {"name": "peft", "peft": {"peft_type": "VERA", "r": 8}},
}
APART = {"prefix", "prompt", "p_tuning"}
HEADS = {"bert": ("bert.pooler.dense.weight", "classifier.weight"), "modernbert": ("head.dense.weight", "classifier.weight"),
         "llama": ("score.weight",), "qwen2": ("score.weight",)}  # fmt: skip
CASES = [
    *(("bert", "classification", name) for name in METHODS),
    *(("modernbert", "classification", name) for name in ("ia3", "ln_tuning", "p_tuning")),
    *(("llama", "classification", name) for name in ("pissa", "prefix", "prompt")),
    *(("llama", "instruction", name) for name in ("ia3", "prefix", "prompt")),
    *(("t5", "seq2seq", name) for name in ("ln_tuning", "prefix", "prompt")),
]
FAMILIES = {"bert": "classification", "modernbert": "classification", "llama": "instruction", "qwen2": "classification",
            "t5": "seq2seq"}  # fmt: skip
REST = [
    pytest.param(family, task, name, marks=pytest.mark.slow)
    for family, task in [*FAMILIES.items(), ("llama", "classification")]
    for name in METHODS
    if (family, task, name) not in CASES and (family, name) != ("modernbert", "prefix")
]


@pytest.mark.parametrize(("family", "task", "name"), [*CASES, *REST])
def test_it_trains_and_reloads(
    family: str, task: str, name: str, tune: Callable[..., FineTuned], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first: dict[str, torch.Tensor] = {}
    original = DurableTrainer.train

    def train(self: DurableTrainer, *args: Any, **kwargs: Any) -> Any:
        trained = {key: item for key, item in self.model.named_parameters() if item.requires_grad}
        first.update({key: item.detach().clone() for key, item in trained.items()})
        result = original(self, *args, **kwargs)
        still = [key for key, item in trained.items() if torch.equal(item, first[key])]
        assert not still, "everything that is trained moves"
        return result

    monkeypatch.setattr(DurableTrainer, "train", train)
    monkeypatch.setattr(finetune, "MERGE_TOLERANCE", 1e-5)
    tuned = tune(family, task, MethodSpec(**METHODS[name]))

    assert tuned.num_trainable == sum(item.numel() for item in first.values()) < tuned.num_parameters
    losses = [seen.loss for seen in tuned.history.validations]
    assert min(losses) == tuned.best_validation_loss
    output = tmp_path / "run" / "output"
    assert (output / "model" / "adapter").is_dir() == (name in APART)
    assert (output / "adapter").is_dir() == (name not in APART and name != "olora_dora")
    saved = load_file(output / "model" / "model.safetensors")
    assert not [key for key in saved if "lora" in key or "modules_to_save" in key or "base_layer" in key]
    if task == "classification":
        for head in HEADS[family]:
            layer = head.removesuffix(".weight")
            began = next(item for key, item in first.items() if f"{layer}.modules_to_save" in key and "weight" in key)
            assert saved[head].shape == began.shape and not torch.equal(saved[head], began)


@pytest.mark.parametrize("name", ["dora", "pissa", "pissa_niter", "olora", "ia3", "ln_tuning"])
def test_the_adapter_folder_serves_on_the_untouched_base(
    name: str, tune: Callable[..., FineTuned], bases: dict[str, BaseModel], tmp_path: Path
) -> None:
    tune("bert", "classification", MethodSpec(**METHODS[name]))
    output = tmp_path / "run" / "output"
    config = json.loads((output / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == bases["bert"].name
    assert config["target_modules"] in (None, "all-linear") or config["target_modules"] == sorted(
        config["target_modules"]
    )
    plain = AutoModelForSequenceClassification.from_pretrained(bases["bert"].path, num_labels=len(LABELS))
    adapted = PeftModel.from_pretrained(plain, str(output / "adapter")).eval()
    merged = load_model(output / "model").model
    ids = torch.tensor([[2, 4, 6, 8, 3], [2, 5, 7, 9, 3]])
    with torch.inference_mode():
        difference = (adapted(input_ids=ids).logits - merged(input_ids=ids).logits).abs().max()
    assert difference < 1e-4


class Crash(BaseException):
    """Not an Exception, so that no handler swallows it."""


@pytest.mark.parametrize(
    ("family", "task", "name"),
    [("bert", "classification", "dora"), ("bert", "classification", "pissa"), ("bert", "classification", "ia3"),
     ("bert", "classification", "vera"), ("bert", "classification", "p_tuning"), ("llama", "instruction", "prefix")],
)  # fmt: skip
def test_a_resumed_run_equals_an_unbroken_one(
    family: str, task: str, name: str, tune: Callable[..., FineTuned], monkeypatch: pytest.MonkeyPatch
) -> None:
    method = MethodSpec(**METHODS[name])
    whole = tune(family, task, method, "whole", epochs=1.5)
    original = DurableTrainer.training_step

    def training_step(self: DurableTrainer, *args: Any, **kwargs: Any) -> torch.Tensor:
        if self.state.global_step == 3:
            raise Crash
        return original(self, *args, **kwargs)

    monkeypatch.setattr(DurableTrainer, "training_step", training_step)
    with pytest.raises(Crash):
        tune(family, task, method, "broken", epochs=1.5)
    monkeypatch.undo()
    resumed = tune(family, task, method, "broken", epochs=1.5)
    assert resumed.resumed_from == 2
    assert resumed.model_digest == whole.model_digest
    assert resumed.history.to_json() == whole.history.to_json()


@pytest.mark.parametrize("name", ["prefix", "prompt"])
def test_training_goes_on_from_a_champion_with_an_adapter(
    name: str, tune: Callable[..., FineTuned], tmp_path: Path
) -> None:
    method = MethodSpec(**METHODS[name])
    tuned = tune("bert", "classification", method, "first", epochs=3)
    champion = saved_model(tmp_path / "first" / "output" / "model", tuned.model_digest, "champion")
    still = {"learning_rate": 1e-9, "epochs": 0.5, "champion": champion}
    again = tune("bert", "classification", method, "second", **still)
    assert again.best_validation_loss == pytest.approx(tuned.best_validation_loss, abs=1e-4)
    with pytest.raises(BaseModelError, match="4 virtual tokens, which only the same method can go on from"):
        tune("bert", "classification", MethodSpec(name="lora", rank=4), "third", **still)
    with pytest.raises(BaseModelError, match="start_from=base"):
        tune("bert", "classification", method.model_copy(update={"virtual_tokens": 5}), "fourth", **still)


@pytest.mark.parametrize("name", ["prefix", "prompt", "dora"])
def test_bf16_trains_and_reloads(name: str, tune: Callable[..., FineTuned]) -> None:
    for family, task in (("bert", "classification"), ("llama", "instruction")):
        tune(family, task, MethodSpec(**METHODS[name]), family, precision="bf16")


def test_modernbert_has_no_place_for_prefixes(tune: Callable[..., FineTuned]) -> None:
    with pytest.raises(BaseModelError, match="prefix_tuning does not fit .* past key values"):
        tune("modernbert", "classification", MethodSpec(**METHODS["prefix"]))
