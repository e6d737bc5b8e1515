"""Models of several families, tied weights and all, give the same logits after saving and loading."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForSequenceClassification,
)

from ftcore.errors import BaseModelError, IntegrityError
from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.models.inference import Predictor
from ftcore.models.loading import load_generative_base, load_model, save_classifier, save_model
from tests.tiny_bert import LABELS
from tests.tiny_families import FAMILIES, SEQ2SEQ, build, build_base, chat_tokenizer, vocab_size

_IDS = torch.tensor([[2, 5, 7, 8, 3], [2, 5, 9, 3, 0]])
_MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]])
_SHAPE = {"vocab_size": vocab_size(), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
          "num_attention_heads": 4, "num_labels": 3, "max_position_embeddings": 64}  # fmt: skip


def logits(model: PreTrainedModel) -> torch.Tensor:
    more = {"decoder_input_ids": _IDS[:, :3]} if model.config.is_encoder_decoder else {}
    with torch.inference_mode():
        return model(input_ids=_IDS, attention_mask=_MASK, **more).logits


@pytest.mark.parametrize("family", FAMILIES)
def test_a_generator_round_trips(family: str, tmp_path: Path) -> None:
    model, tokenizer = build(family, seed=4)
    wanted = logits(model)
    save_model(model, tokenizer, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert loaded.kind == ("seq2seq" if family in SEQ2SEQ else "decoder") and loaded.labels == ()
    assert torch.equal(logits(loaded.model), wanted)
    assert loaded.tokenizer.chat_template == tokenizer.chat_template
    if family != "qwen3":  # one storage for input and output embeddings, as before
        assert loaded.model.get_output_embeddings().weight is loaded.model.get_input_embeddings().weight


def classifier(family: str) -> PreTrainedModel:
    torch.manual_seed(5)
    if family == "bert":
        return BertForSequenceClassification(BertConfig(**_SHAPE))
    if family == "modernbert":
        ids = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
        return ModernBertForSequenceClassification(ModernBertConfig(**_SHAPE, **ids))
    config, cls = {
        "llama": (LlamaConfig, LlamaForSequenceClassification),
        "qwen2": (Qwen2Config, Qwen2ForSequenceClassification),
    }[family]
    return cls(config(**_SHAPE, num_key_value_heads=2))


@pytest.mark.parametrize("family", ["bert", "modernbert", "llama", "qwen2"])
def test_a_classifier_round_trips(family: str, tmp_path: Path, cpu: Device) -> None:
    model = classifier(family).eval()
    save_classifier(model, chat_tokenizer(), LABELS, tmp_path / "model")
    assert model.config.pad_token_id == 0  # rows of a batch end where padding begins
    wanted = logits(model)
    loaded = load_model(tmp_path / "model")
    assert loaded.kind == "classifier" and loaded.labels == LABELS
    assert torch.equal(logits(loaded.model), wanted)
    texts = ["card lost", "where is my money please", "refund"]
    together = Predictor(loaded, cpu, max_length=16, batch_size=3).predict(texts)
    alone = Predictor(loaded, cpu, max_length=16, batch_size=1).predict(texts)
    torch.testing.assert_close(together.probabilities, alone.probabilities, atol=1e-5, rtol=0)


def test_missing_and_stray_weights_are_found(tmp_path: Path) -> None:
    model, tokenizer = build("llama")
    save_model(model, tokenizer, tmp_path / "model")
    (tmp_path / "model" / "MANIFEST.json").unlink()
    weights = tmp_path / "model" / "model.safetensors"
    tensors = load_file(weights)
    save_file({name: tensor for name, tensor in tensors.items() if "norm" not in name}, weights, {"format": "pt"})
    with pytest.raises(IntegrityError, match="missing or left over"):
        load_model(tmp_path / "model")
    save_file({**tensors, "model.extra.weight": torch.zeros(2)}, weights, {"format": "pt"})
    with pytest.raises(IntegrityError, match="left over"):
        load_model(tmp_path / "model")


def test_a_folder_that_neither_classifies_nor_generates_is_refused(tiny_base: BaseModel) -> None:
    with pytest.raises(IntegrityError, match="saw the architecture BertModel"):
        load_model(tiny_base.path)


def test_a_base_model_needs_a_language_model_head(tiny_base: BaseModel, tmp_path: Path) -> None:
    loaded = load_generative_base(build_base(tmp_path / "base"))
    assert torch.equal(logits(loaded.model), logits(build("llama")[0]))
    assert load_generative_base(build_base(tmp_path / "t5", "t5")).kind == "seq2seq"
    with pytest.raises(BaseModelError, match="lacks|cannot be loaded"):
        load_generative_base(tiny_base)
