"""Frozen linear layers held in bfloat16 while training computes in it.

Autocast makes a bfloat16 copy of every weight in every pass; of weights that never change it can be made once. The products are
the same bit for bit, and the weights take half the memory. PEFT's LoRA layers turn their input into float32 on top, only for
autocast to turn it back. Together that is what makes LoRA slower than it need be on CPUs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from peft.tuners.lora import Linear as LoraLinear
from torch import nn

from ftcore.spec import MethodSpec

_READS_WEIGHTS_ELSEWHERE = ("full", "qlora", "peft")
"""Methods without such layers, with 4-bit ones, or of which nobody knows what they do with the weights."""


def narrow(model: nn.Module, method: MethodSpec) -> None:
    """Hold the frozen linear layers in bfloat16. Only for a model that is trained under autocast to bfloat16.

    Left alone: weights that embeddings share, and all of them under DoRA, which takes norms of them.
    """
    if method.name in _READS_WEIGHTS_ELSEWHERE or method.dora:
        return
    for layer in _frozen_linear(model):
        layer.to(torch.bfloat16)
    for module in model.modules():
        if isinstance(module, LoraLinear):
            module.cast_input_dtype_enabled = False


def widen(model: nn.Module, build: Callable[[], nn.Module]) -> None:
    """Back to float32 with the values of before.

    Args:
        build: Makes the model as it was before training; called only if there is something to take from it.
    """
    narrowed = [name for name, module in model.named_modules() if _is_narrowed(module)]
    if not narrowed:
        return
    first = build()
    for name in narrowed:
        layer, before = model.get_submodule(name).float(), first.get_submodule(name)
        layer.load_state_dict(before.state_dict())


def _is_narrowed(module: nn.Module) -> bool:
    return type(module) is nn.Linear and module.weight.dtype == torch.bfloat16


def _frozen_linear(model: nn.Module) -> Iterator[nn.Linear]:
    shared = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    for module in model.modules():
        is_frozen = not any(parameter.requires_grad for parameter in module.parameters())
        if type(module) is nn.Linear and is_frozen and id(module.weight) not in shared:
            yield module
