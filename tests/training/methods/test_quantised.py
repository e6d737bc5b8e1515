"""Out of 4 bits again: tested with a model whose "4-bit" weights are float32, since this needs no GPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from ftcore.models.base import BaseModel
from ftcore.spec import MethodSpec, TrainingSpec
from ftcore.training.methods import apply_method, quantised, saving


def test_the_trained_function_survives(bases: dict[str, BaseModel], monkeypatch: pytest.MonkeyPatch) -> None:
    plain = AutoModelForSequenceClassification.from_pretrained(bases["llama"].path, num_labels=3)
    plain.config.pad_token_id = 0
    method = MethodSpec(name="lora", rank=4, dora=True)
    model: Any = apply_method(plain, method, TrainingSpec(), task="SEQ_CLS", base_name="base")
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    ids = torch.tensor([[7, 8, 9, 10]])
    monkeypatch.setattr(type(plain), "dequantize", lambda self, dtype: self)
    with torch.inference_mode():
        wanted = model.eval()(input_ids=ids).logits
        whole = quantised.dequantised(model).eval()
        assert torch.allclose(whole(input_ids=ids).logits, wanted, atol=1e-6)
        assert torch.allclose(saving.merged(whole)(input_ids=ids).logits, wanted, atol=1e-5)


def test_base_weights_are_nf4_with_quantised_scales_and_whole_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    config = quantised.loading()["quantization_config"]
    assert (config.bnb_4bit_quant_type, config.bnb_4bit_use_double_quant) == ("nf4", True)
    assert config.bnb_4bit_compute_dtype == torch.bfloat16
    assert {"score", "classifier", "lm_head"} <= set(config.llm_int8_skip_modules)
