"""A base model in 4 bits under LoRA (QLoRA, Dettmers et al. 2023, arXiv:2305.14314), and out of them again for serving."""

from __future__ import annotations

import os
from typing import Any

import torch
from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from torch import nn
from transformers import BitsAndBytesConfig

from ftcore.training.methods.configs import HEAD


def loading() -> dict[str, Any]:
    """What `from_pretrained` needs to put the base model on the GPU in 4 bits: NF4, doubly quantised scales; heads stay whole.

    Products are computed in bfloat16 where the GPU can, else in float16.
    """
    exact = torch.cuda.is_bf16_supported(including_emulation=False)
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if exact else torch.float16,
        llm_int8_skip_modules=[*sorted(HEAD), "lm_head"],
    )
    return {"quantization_config": config, "device_map": {"": int(os.environ.get("LOCAL_RANK", "0"))}}


def dequantised(model: Any) -> nn.Module:
    """The trained model with its 4-bit weights written out as float32, on the CPU: what merging and serving start from.

    These are the weights that the adapter was trained beside. The base model's own would differ from them by what 4 bits lose.

    Args:
        model: A PEFT model around a 4-bit model; not to be used afterwards.
    """
    config = model.active_peft_config
    state = {
        name: tensor.float().cpu()
        for name, tensor in get_peft_model_state_dict(model, save_embedding_layers=False).items()
    }
    plain = model.unload().dequantize(torch.float32).float().cpu()
    whole = get_peft_model(plain, config)
    set_peft_model_state_dict(whole, state)
    return whole
