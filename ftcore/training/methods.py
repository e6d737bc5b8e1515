"""What is trained: all weights, or small low-rank adapters (LoRA, Hu et al. 2021, arXiv:2106.09685) beside frozen ones."""

from __future__ import annotations

from pathlib import Path

import torch
from peft import LoraConfig, TaskType, get_peft_model
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel, set_seed

from ftcore.errors import BaseModelError
from ftcore.models.base import BaseModel
from ftcore.spec import MethodSpec

_HEAD = frozenset({"classifier", "score", "head", "pooler", "pre_classifier", "classification_head"})


def build_model(
    base: BaseModel, num_labels: int, method: MethodSpec, seed: int, attention: str | None = None
) -> nn.Module:
    """The base model with a fresh classification head, in float32, with the right weights frozen.

    Args:
        base: From `resolve_base`.
        num_labels: Number of classes.
        method: `full` or `lora` and its settings.
        seed: Fixes the head's (and the adapters') first values.
        attention: transformers' name of the attention implementation; None: its default.

    Raises:
        BaseModelError: The folder cannot be loaded as a sequence classifier, `target_modules` matches nothing, or the model has
            fewer layers than `freeze_layers`.
    """
    set_seed(seed)
    model = load_base(base.path, num_labels, base.name, attention)
    if method.name == "lora":
        config = LoraConfig(
            task_type=TaskType.SEQ_CLS,
            r=method.rank,
            lora_alpha=method.alpha,
            lora_dropout=method.dropout,
            target_modules=method.target_modules,
        )
        try:
            return _named_base(get_peft_model(model, config), base.name)
        except ValueError as error:
            hint = "--set method.target_modules=all-linear"
            raise BaseModelError(f"LoRA does not fit {base.name}: {str(error).splitlines()[0]}", hint=hint) from error
    if method.freeze_embeddings or method.freeze_layers:  # layers above moving embeddings would gain nothing
        embeddings = getattr(model.base_model, "embeddings", None) or model.get_input_embeddings()
        embeddings.requires_grad_(False)
    _layers(model, base.name, method.freeze_layers).requires_grad_(False)
    return model


def _layers(model: PreTrainedModel, name: str, count: int) -> nn.ModuleList:
    """The first `count` encoder layers: of the list that is as long as the configuration says."""
    if count == 0:
        return nn.ModuleList()
    depth = model.config.num_hidden_layers
    found = [item for item in model.modules() if isinstance(item, nn.ModuleList) and len(item) == depth]
    if not found or count > depth:
        hint = f"--set method.freeze_layers={depth // 2}"
        raise BaseModelError(f"{name} has {depth} layers; cannot freeze {count}.", hint=hint)
    layers: nn.ModuleList = found[0][:count]
    return layers


def load_base(path: Path, num_labels: int, name: str, attention: str | None = None) -> PreTrainedModel:
    """Base weights under a fresh head of `num_labels` outputs.

    Raises:
        BaseModelError: transformers cannot load it.
    """
    try:
        model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
            path,
            num_labels=num_labels,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            attn_implementation=attention,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BaseModelError(f"{name} cannot be loaded as a classifier: {reason}") from error
    return model


def _named_base(model: nn.Module, name: str) -> nn.Module:
    """Adapters name their base model as the spec does, not by a path of this machine."""
    for config in model.peft_config.values():
        config.base_model_name_or_path = name
    return model


def num_parameters(model: nn.Module) -> tuple[int, int]:
    """Trainable and all parameters."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(size for size, trains in sizes if trains), sum(size for size, _ in sizes)


def head_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Parameters of the classification head and the pooler below it, by transformers' names for them."""
    return [item for name, item in model.named_parameters() if _HEAD & set(name.split("."))]


def trained_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """The tensors that training changes, by name: everything but frozen parameters."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return {name: tensor.contiguous() for name, tensor in model.state_dict().items() if name not in frozen}


def load_trained_state(model: nn.Module, state: dict[str, torch.Tensor]) -> None:
    """Inverse of `trained_state`.

    Raises:
        ValueError: Names differ from what this model trains.
    """
    if state.keys() != trained_state(model).keys():
        difference = sorted(state.keys() ^ trained_state(model).keys())
        raise ValueError(
            f"The checkpoint is of another model: {len(difference)} tensors differ, first {difference[0]}."
        )
    model.load_state_dict(state, strict=False)
