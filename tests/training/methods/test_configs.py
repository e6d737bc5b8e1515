"""Names that PEFT does not know, methods that cannot do their work, and embeddings that an adapter would split."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from ftcore.errors import BaseModelError, SpecError, UsageError
from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.spec import MethodSpec, TrainingSpec
from ftcore.training.methods import apply_method, check_method
from ftcore.training.methods.configs import config_for, head_modules


def adapter(**peft: Any) -> MethodSpec:
    return MethodSpec(name="peft", peft=peft)


def test_unknown_fields_are_all_named_with_the_allowed_ones() -> None:
    with pytest.raises(SpecError) as caught:
        check_method(adapter(peft_type="VERA", rr=4, projection=1))
    assert caught.value.details == ("method.peft.projection: unknown", "method.peft.rr: unknown")
    assert "projection_prng_key" in caught.value.hint and "task_type" not in caught.value.hint
    with pytest.raises(SpecError, match="IA3 does not have all fields"):
        check_method(MethodSpec(name="ia3", peft={"r": 8}))
    with pytest.raises(SpecError, match="method.target_modules: TRAINABLE_TOKENS_ has none|PROMPT"):
        check_method(adapter(peft_type="PROMPT_TUNING").model_copy(update={"target_modules": ["x"]}))


@pytest.mark.parametrize(
    ("method", "message"),
    [(adapter(peft_type="LORAX"), "saw 'LORAX'; allowed: .*VERA"),
     (adapter(peft_type="ADALORA"), "told of every optimiser step"),
     (MethodSpec(name="lora", peft={"layers_pattern": "layers"}), "PEFT refuses LORA")],
)  # fmt: skip
def test_types_and_values_that_peft_refuses(method: MethodSpec, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        check_method(method)


def test_full_needs_nothing_of_peft() -> None:
    check_method(MethodSpec())


def test_every_layer_of_the_head_is_trained(bases: dict[str, BaseModel]) -> None:
    expected = {
        "bert": ["bert.pooler.dense", "classifier"],
        "modernbert": ["head.dense", "head.norm", "classifier"],
        "llama": ["score"],
    }
    for family, names in expected.items():
        model = AutoModelForSequenceClassification.from_pretrained(bases[family].path, num_labels=3)
        assert head_modules(model) == names


def test_norms_are_found_in_every_architecture_but_not_in_the_head(bases: dict[str, BaseModel]) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(bases["modernbert"].path, num_labels=3)
    found = config_for(model, MethodSpec(name="ln_tuning"), "SEQ_CLS", "base").target_modules
    assert {"model.embeddings.norm", "model.layers.0.mlp_norm", "model.final_norm"} <= set(found)
    assert "head.norm" not in found
    decoder = AutoModelForCausalLM.from_pretrained(bases["qwen2"].path)
    norms = config_for(decoder, MethodSpec(name="ln_tuning"), "CAUSAL_LM", "base").target_modules
    assert {"model.norm", "model.layers.1.input_layernorm", "model.layers.1.post_attention_layernorm"} <= set(norms)


def apply(base: BaseModel, method: MethodSpec) -> Any:
    model = AutoModelForCausalLM.from_pretrained(base.path)
    return apply_method(model, method, TrainingSpec(), task="CAUSAL_LM", base_name="base")


@pytest.mark.parametrize(
    "settings",
    [{"modules_to_save": ["lm_head"]}, {"modules_to_save": ["embed_tokens"]}, {"target_modules": ["q_proj", "embed_tokens"]},
     {"target_modules": ["model.embed_tokens"]}, {"modules_to_save": ["_tokens"]}],
)  # fmt: skip
def test_tied_embeddings_are_not_split(settings: dict[str, Any], bases: dict[str, BaseModel]) -> None:
    with pytest.raises(BaseModelError, match="one tensor for input and output embeddings"):
        apply(bases["llama"], MethodSpec(name="lora", **settings))
    by_pattern = adapter(peft_type="LORA", target_modules=r".*embed_tokens|.*q_proj")
    with pytest.raises(BaseModelError, match="model.embed_tokens would split it"):
        apply(bases["llama"], by_pattern)


@pytest.mark.parametrize(
    ("method", "message"),
    [(MethodSpec(name="lora", target_modules=["nowhere"]), "lora does not fit base: .*nowhere"),
     (adapter(peft_type="BEFT"), "has no bias, cannot merge"),
     (adapter(peft_type="TRAINABLE_TOKENS"), "adds nothing to train"),
     (adapter(peft_type="MISS", r=64), "must be less than or equal to in_features")],
)  # fmt: skip
def test_what_does_not_fit_is_told_before_training(
    method: MethodSpec, message: str, bases: dict[str, BaseModel]
) -> None:
    with pytest.raises(BaseModelError, match=message):
        apply(bases["llama"], method)


def test_prefixes_begin_small_and_prompts_among_the_words(bases: dict[str, BaseModel]) -> None:
    torch.manual_seed(3)
    prefix = apply(bases["llama"], MethodSpec(name="prefix_tuning")).prompt_encoder["default"].embedding.weight
    assert prefix.shape[0] == 16 and prefix.std() < 0.05
    prompt = apply(bases["llama"], MethodSpec(name="prompt_tuning"))
    words = prompt.get_base_model().get_input_embeddings().weight
    assert all((words == vector).all(dim=1).any() for vector in prompt.prompt_encoder["default"].embedding.weight)


def test_four_bits_need_cuda_and_bitsandbytes(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="on a CUDA device; this run is on cpu") as caught:
        Device("cpu", "fp32", 1).require_4bit()
    assert caught.value.hint == "--set method.name=lora"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="bitsandbytes") as caught:
        Device("cuda", "bf16", 1).require_4bit()
    assert caught.value.hint == "pip install 'ftcore[qlora]'"
