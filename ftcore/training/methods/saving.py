"""From trained parts to what is kept: adapters merged into the weights where that is possible, and stored apart as well."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from peft.utils.other import ModulesToSaveWrapper
from safetensors.torch import save_file
from torch import nn

from ftcore.models import adapters
from ftcore.store import write_durable

_CHANGES_BASE = ("pissa", "olora")
"""First values for which PEFT takes what the adapter starts with out of the base weights."""


def is_mergeable(model: nn.Module) -> bool:
    """Whether this is a PEFT model whose adapter can become part of the weights; virtual tokens cannot."""
    return adapters.is_adapted(model) and not model.active_peft_config.is_prompt_learning


def changes_base(model: Any) -> bool:
    """Whether the adapter as trained fits only base weights that PEFT changed when it began."""
    return str(getattr(model.active_peft_config, "init_lora_weights", "")).startswith(_CHANGES_BASE)


def merged(model: Any) -> nn.Module:
    """The plain model with the adapter in its weights, trained modules in the place of the first ones."""
    plain: nn.Module = model.merge_and_unload()
    for name, module in list(plain.named_modules()):
        if isinstance(module, ModulesToSaveWrapper):  # PEFT leaves them in with LN tuning
            plain.set_submodule(name, module.modules_to_save["default"])
    return plain


def save_adapter(model: Any, folder: Path) -> None:
    """Write the adapter for the untouched base model.

    Args:
        model: A PEFT model whose adapter does not change the base weights; see `save_difference` for others.
    """
    adapters.save_adapter(model, folder)
    _sort_names(folder / adapters.ADAPTER_CONFIG)


def save_difference(model: Any, first: Any, folder: Path) -> bool:
    """Write an adapter that began with parts of the base weights (PiSSA, OLoRA) as a LoRA of twice the rank, for untouched ones.

    W + B A - B0 A0 = W + [B, -B0] [A; A0] (PiSSA, arXiv:2404.02948, appendix). PEFT can do this too, but leaves out the
    head of a classifier then.

    Args:
        first: The same model before training.

    Returns:
        False, and writes nothing, where no LoRA is the same: DoRA scales by the norms of the changed weights.
    """
    config = copy.deepcopy(model.active_peft_config)
    if config.use_dora:
        return False
    trained = get_peft_model_state_dict(model, save_embedding_layers=False)
    began = get_peft_model_state_dict(first, save_embedding_layers=False)
    state = {}
    for name, tensor in trained.items():
        if "lora_A" in name:
            tensor = torch.cat([tensor, began[name]], dim=0)
        elif "lora_B" in name:
            tensor = torch.cat([tensor, -began[name]], dim=1)
        state[name] = tensor.detach().clone().contiguous()
    scale = math.sqrt(2) if config.use_rslora else 2  # keeps alpha / rank, or alpha / sqrt(rank), as it was
    config.r, config.lora_alpha, config.init_lora_weights = config.r * 2, config.lora_alpha * scale, True
    config.rank_pattern = {name: rank * 2 for name, rank in (config.rank_pattern or {}).items()}
    config.alpha_pattern = {name: alpha * scale for name, alpha in (config.alpha_pattern or {}).items()}
    config.inference_mode = True
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / adapters.ADAPTER_WEIGHTS, metadata={"format": "pt"})
    config.save_pretrained(str(folder))
    _sort_names(folder / adapters.ADAPTER_CONFIG)
    return True


def untouched(first: Any) -> nn.Module:
    """The base model as it was before PEFT took the adapter's first values out of it.

    Args:
        first: A PEFT model before training; not to be used afterwards.
    """
    return merged(first)


def put_on(base: nn.Module, folder: Path) -> nn.Module:
    """A base model with a stored adapter, in evaluation mode."""
    return PeftModel.from_pretrained(base, str(folder)).eval()


def _sort_names(path: Path) -> None:
    """PEFT writes sets as lists, in another order in each process."""
    config = json.loads(path.read_text(encoding="utf-8"))
    for key in ("target_modules", "exclude_modules", "feedforward_modules"):
        if isinstance(config.get(key), list):
            config[key] = sorted(config[key])
    write_durable(path, json.dumps(config, indent=2, sort_keys=True) + "\n")
