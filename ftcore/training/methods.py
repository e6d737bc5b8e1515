"""What is trained: all weights, or small low-rank adapters (LoRA, Hu et al. 2021, arXiv:2106.09685) beside frozen ones."""

from __future__ import annotations

import torch
from peft import LoraConfig, TaskType, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from ftcore.errors import BaseModelError
from ftcore.spec import MethodSpec, TrainingSpec

HEAD = frozenset({"classifier", "score", "head", "pooler", "pre_classifier", "classification_head"})


def apply_method(
    model: PreTrainedModel, method: MethodSpec, training: TrainingSpec, *, task: str, base_name: str
) -> nn.Module:
    """Freeze what the method keeps and add what it trains.

    Args:
        model: Base model or champion, as its task loads it; changed in place.
        method: What is trained.
        training: Its `dropout`.
        task: PEFT's name of the task.
        base_name: Names the model in errors, and in the adapter's configuration.

    Raises:
        BaseModelError: `target_modules` matches nothing, or the model has fewer layers than `freeze_layers`.
    """
    if training.dropout is not None:
        _set_dropout(model, training.dropout)
    if method.name == "lora":
        config = LoraConfig(
            task_type=TaskType(task),
            r=method.rank,
            lora_alpha=method.alpha,
            lora_dropout=method.dropout,
            target_modules=method.target_modules,
        )
        try:
            return _named_base(get_peft_model(model, config), base_name)
        except ValueError as error:
            hint = "--set method.target_modules=all-linear"
            raise BaseModelError(f"LoRA does not fit {base_name}: {str(error).splitlines()[0]}", hint=hint) from error
    freeze_embeddings = task == "SEQ_CLS" if method.freeze_embeddings is None else method.freeze_embeddings
    if freeze_embeddings or method.freeze_layers:  # layers above moving embeddings would gain nothing
        embeddings = getattr(model.base_model, "embeddings", None) or model.get_input_embeddings()
        embeddings.requires_grad_(False)
    _layers(model, base_name, method.freeze_layers).requires_grad_(False)
    return model


def _set_dropout(model: nn.Module, rate: float) -> None:
    """In the modules only: the saved configuration keeps the model's own rates."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = rate
        for name in ("attention_dropout", "dropout"):  # attention functions take a number from the module around them
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, rate)


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
    return [item for name, item in model.named_parameters() if HEAD & set(name.split("."))]


def trained_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """The tensors that training changes, by name: trainable parameters (tied ones once) and buffers that are saved."""
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    trained = {name: item for name, item in model.named_parameters() if item.requires_grad}
    buffers = {name: item for name, item in model.state_dict().items() if name not in parameters}
    return {name: tensor.detach().contiguous() for name, tensor in (trained | buffers).items()}


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
