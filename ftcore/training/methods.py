"""What is trained: all weights, or small low-rank adapters (LoRA, Hu et al. 2021, arXiv:2106.09685) beside frozen ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from peft import LoraConfig, TaskType, get_peft_model
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel, set_seed

from ftcore.errors import BaseModelError
from ftcore.models.base import BaseModel
from ftcore.models.loading import read_labels
from ftcore.spec import MethodSpec, TrainingSpec

_HEAD = frozenset({"classifier", "score", "head", "pooler", "pre_classifier", "classification_head"})


def build_model(
    base: BaseModel,
    labels: Sequence[str],
    method: MethodSpec,
    training: TrainingSpec,
    attention: str | None = None,
    champion: BaseModel | None = None,
) -> nn.Module:
    """The base model with a fresh classification head, or the champion with its own, in float32, the right weights frozen.

    Args:
        base: From `resolve_base`.
        labels: Class names; the position is the class index.
        method: `full` or `lora` and its settings.
        training: Its seed fixes the first values of what is new: head, adapters, classes that the champion does not know.
        attention: transformers' name of the attention implementation; None: its default.
        champion: Checked model to start from instead of the base; the classes that it knows keep their output weights.

    Raises:
        BaseModelError: The folder cannot be loaded as a sequence classifier, `target_modules` matches nothing, or the model has
            fewer layers than `freeze_layers`.
    """
    set_seed(training.seed)
    if champion is None:
        model = load_base(base.path, len(labels), base.name, attention)
    else:
        known = read_labels(champion.path)
        model = load_base(champion.path, len(known), champion.name, attention)
        _fit_head(model, known, labels)
    if training.dropout is not None:
        _set_dropout(model, training.dropout)
    if method.name == "lora":
        config = LoraConfig(
            task_type=TaskType.SEQ_CLS,
            r=method.rank,
            lora_alpha=method.alpha,
            lora_dropout=method.dropout,
            target_modules=method.target_modules,
        )
        try:
            return _named_base(get_peft_model(model, config), (champion or base).name)
        except ValueError as error:
            hint = "--set method.target_modules=all-linear"
            raise BaseModelError(f"LoRA does not fit {base.name}: {str(error).splitlines()[0]}", hint=hint) from error
    if method.freeze_embeddings or method.freeze_layers:  # layers above moving embeddings would gain nothing
        embeddings = getattr(model.base_model, "embeddings", None) or model.get_input_embeddings()
        embeddings.requires_grad_(False)
    _layers(model, base.name, method.freeze_layers).requires_grad_(False)
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


def _fit_head(model: PreTrainedModel, known: Sequence[str], labels: Sequence[str]) -> None:
    """Give the champion's output layer one row per class of `labels`: its own where it knows the class, else a fresh one.

    Raises:
        BaseModelError: The head has no linear layer with one output per known class.
    """
    if list(known) == list(labels):
        return
    named = [(name, item) for name, item in model.named_modules() if _HEAD & set(name.split("."))]
    outputs = [(name, item) for name, item in named if isinstance(item, nn.Linear) and item.out_features == len(known)]
    if not outputs:
        raise BaseModelError(
            f"The champion's head has no linear layer with {len(known)} outputs to start from.",
            hint="--set method.start_from=base",
        )
    name, old = outputs[-1]
    new = nn.Linear(old.in_features, len(labels), bias=old.bias is not None)
    nn.init.normal_(new.weight, std=float(getattr(model.config, "initializer_range", 0.02)))
    position = {label: index for index, label in enumerate(known)}
    with torch.no_grad():
        if new.bias is not None:
            new.bias.zero_()
        for index, label in enumerate(labels):
            if label in position:
                new.weight[index] = old.weight[position[label]]
                if new.bias is not None:
                    new.bias[index] = old.bias[position[label]]
    model.set_submodule(name, new)
    model.num_labels = model.config.num_labels = len(labels)


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
