"""Adapters that cannot be merged come back as they were, from the folder alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig, TaskType, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from ftcore.errors import IntegrityError
from ftcore.models import adapters
from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.models.inference import Predictor
from ftcore.models.loading import load_classifier, load_model, save_model
from tests.tiny_bert import LABELS
from tests.tiny_families import build

CONFIGS = {"prefix": PrefixTuningConfig, "prompt": PromptTuningConfig, "p_tuning": PromptEncoderConfig}
_IDS = torch.tensor([[2, 5, 7, 8, 3, 6], [2, 5, 9, 10, 3, 6]])


def adapted(name: str, family: str) -> tuple[torch.nn.Module, object]:
    model, tokenizer = build(family)
    task = TaskType.SEQ_2_SEQ_LM if family == "t5" else TaskType.CAUSAL_LM
    more = {"encoder_hidden_size": 16} if name == "p_tuning" else {}
    wrapped = get_peft_model(model, CONFIGS[name](task_type=task, num_virtual_tokens=4, **more))
    torch.manual_seed(3)
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter)
    return wrapped.eval(), tokenizer


def logits(model: torch.nn.Module, seq2seq: bool = False) -> torch.Tensor:
    more = {"decoder_input_ids": _IDS[:, :3]} if seq2seq else {}
    with torch.inference_mode():
        return model(input_ids=_IDS, attention_mask=torch.ones_like(_IDS), **more).logits


@pytest.mark.parametrize(
    ("name", "family"), [("prefix", "llama"), ("prompt", "qwen3"), ("p_tuning", "llama"), ("prompt", "t5")]
)
def test_a_prompt_adapter_round_trips(name: str, family: str, tmp_path: Path) -> None:
    model, tokenizer = adapted(name, family)
    plain = logits(build(family)[0], family == "t5")
    wanted = logits(model, family == "t5")
    assert wanted.shape != plain.shape or (wanted - plain).abs().max() > 1e-3
    save_model(model, tokenizer, tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model" / "adapter").iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors"
    ]  # fmt: skip
    assert torch.equal(logits(load_model(tmp_path / "model").model, family == "t5"), wanted)
    bare = load_file(tmp_path / "model" / "model.safetensors")
    assert not [key for key in bare if "prompt" in key or "base_model" in key]


def test_a_classifier_keeps_its_trained_head(tiny_base: BaseModel, tmp_path: Path, cpu: Device) -> None:
    torch.manual_seed(0)
    base = AutoModelForSequenceClassification.from_pretrained(tiny_base.path, num_labels=3)
    model = get_peft_model(base, PromptTuningConfig(task_type=TaskType.SEQ_CLS, num_virtual_tokens=4))
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter)
    model.eval()
    wanted = logits(model)
    save_model(model, AutoTokenizer.from_pretrained(tiny_base.path), tmp_path / "model", LABELS)
    loaded = load_classifier(tmp_path / "model")
    head = model.get_base_model().classifier.modules_to_save["default"].weight
    assert torch.equal(load_file(tmp_path / "model" / "model.safetensors")["classifier.weight"], head)
    assert torch.equal(logits(loaded.model), wanted)
    found = Predictor(loaded, cpu, max_length=16, batch_size=2).predict(["card lost", "money late please"])
    assert found.embeddings.shape == (2, 32) and set(found.labels) <= set(LABELS)


def test_damage_to_an_adapter_is_found(tmp_path: Path) -> None:
    model, tokenizer = adapted("prompt", "llama")
    save_model(model, tokenizer, tmp_path / "model")
    (tmp_path / "model" / "MANIFEST.json").unlink()
    weights = tmp_path / "model" / "adapter" / "adapter_model.safetensors"
    tensors = load_file(weights)
    save_file(tensors | {"stray": torch.zeros(1)}, weights)
    with pytest.raises(IntegrityError, match="missing or left over|cannot be put on"):
        load_model(tmp_path / "model")
    save_file({name: torch.full_like(tensor, float("nan")) for name, tensor in tensors.items()}, weights)
    with pytest.raises(IntegrityError, match="NaN or infinity"):
        load_model(tmp_path / "model")
    weights.rename(weights.with_name("adapter_model.bin"))
    with pytest.raises(IntegrityError, match="no adapter_model.safetensors"):
        load_model(tmp_path / "model")


def test_base_weights_are_told_apart_from_lora(tmp_path: Path) -> None:
    model, _ = build("llama")
    wanted = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    wrapped = get_peft_model(model, LoraConfig(task_type=TaskType.CAUSAL_LM, r=2, target_modules="all-linear"))
    seen = adapters.base_state(wrapped)
    assert seen.keys() == wanted.keys() and all(torch.equal(seen[name], wanted[name]) for name in wanted)
