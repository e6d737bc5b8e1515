"""Freezing, adapters, and the tensors that training changes."""

from __future__ import annotations

import copy
from typing import Any

import torch
from peft import get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedModel

from ftcore.errors import BaseModelError, first_line
from ftcore.models import adapters
from ftcore.models.base import BaseModel
from ftcore.models.heads import read_last_tokens
from ftcore.spec import MethodSpec, TrainingSpec
from ftcore.training.methods.configs import HEAD, config_for

PREFIX_DEVIATION = 0.02


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
        SpecError: PEFT does not know fields of `method.peft`.
        BaseModelError: The method does not fit the model: `target_modules` matches nothing, the architecture has no place for
            virtual tokens, the adapter cannot be merged, or the model has fewer layers than `freeze_layers`.
    """
    if training.dropout is not None:
        _set_dropout(model, training.dropout)
    if method.name != "full":
        return _adapted(model, method, task, base_name)
    freeze_embeddings = task == "SEQ_CLS" if method.freeze_embeddings is None else method.freeze_embeddings
    if freeze_embeddings or method.freeze_layers:  # layers above moving embeddings would gain nothing
        embeddings = getattr(model.base_model, "embeddings", None) or model.get_input_embeddings()
        embeddings.requires_grad_(False)
    _layers(model, base_name, method.freeze_layers).requires_grad_(False)
    return model


def _adapted(model: PreTrainedModel, method: MethodSpec, task: str, base_name: str) -> nn.Module:
    config = config_for(model, method, task, base_name)
    config.base_model_name_or_path = base_name  # as the spec does, not by a path of this machine
    if method.name == "qlora":
        from peft import prepare_model_for_kbit_training

        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    try:
        adapted: Any = get_peft_model(model, config)
        if not _num_new(adapted):
            raise ValueError("it adds nothing to train")
        if config.is_prompt_learning:
            _prepare_virtual_tokens(adapted, method)
        elif method.name != "qlora":  # which is merged in full precision
            _check_merging(adapted)
    except (ValueError, TypeError, AttributeError, NotImplementedError, RuntimeError, KeyError) as error:
        hint = "--set method.target_modules=all-linear" if not config.is_prompt_learning else "--set method.name=lora"
        message = f"{method.name} does not fit {base_name}: {first_line(error)}"
        raise BaseModelError(message, hint=hint) from error
    return adapted


def _num_new(model: nn.Module) -> int:
    """Trainable numbers besides whole modules of the model."""
    named = model.named_parameters()
    return sum(item.numel() for name, item in named if item.requires_grad and "modules_to_save" not in name)


def _prepare_virtual_tokens(model: Any, method: MethodSpec) -> None:
    """Small first values for keys and values, a head that finds its token, and one pass that shows whether the model takes them.

    PEFT draws keys and values with deviation 1, which drowns what the text says.

    Raises:
        ValueError: The architecture does not take them.
    """
    read_last_tokens(model)
    encoder = model.prompt_encoder["default"]
    if method.name == "prefix_tuning" and "init_weights" not in method.peft and not encoder.prefix_projection:
        with torch.no_grad():
            encoder.embedding.weight.mul_(PREFIX_DEVIATION)
    ids = torch.ones((1, 2), dtype=torch.long, device=encoder.embedding.weight.device)
    more = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
    was_training = model.training
    with torch.no_grad():
        model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids), **more)
    model.train(was_training)


def _check_merging(model: nn.Module) -> None:
    """Merge a copy of one layer of each kind: better now than after the training.

    Raises:
        ValueError, NotImplementedError: As PEFT says that it cannot.
    """
    seen = set()
    for layer in model.modules():
        if isinstance(layer, BaseTunerLayer) and type(layer) not in seen:
            seen.add(type(layer))
            copy.deepcopy(layer).merge()


def continue_adapter(model: Any, champion: BaseModel) -> None:
    """Where the champion's adapter is not part of its weights, take that adapter's values.

    Raises:
        BaseModelError: It is an adapter of another kind or size.
    """
    folder = champion.path / adapters.FOLDER
    if not folder.is_dir():
        return
    from peft import PeftConfig, get_peft_model_state_dict, set_peft_model_state_dict

    theirs = PeftConfig.from_pretrained(str(folder))
    state = load_file(folder / adapters.ADAPTER_WEIGHTS)
    ours = getattr(model, "peft_config", {}).get("default")
    fits = ours is not None and ours.peft_type == theirs.peft_type and not getattr(ours, "prefix_projection", False)
    if fits:
        mine = get_peft_model_state_dict(model, save_embedding_layers=False)
        fits = mine["prompt_embeddings"].shape == state["prompt_embeddings"].shape
    if not fits:
        raise BaseModelError(
            f"{champion.name} has a {theirs.peft_type} adapter with {theirs.num_virtual_tokens} virtual tokens, which only the "
            "same method can go on from.",
            hint="--set method.start_from=base",
        )
    # the head of today's classes stands in the base weights already
    head = {name: tensor for name, tensor in mine.items() if name != "prompt_embeddings"}
    set_peft_model_state_dict(model, {**head, "prompt_embeddings": state["prompt_embeddings"]})


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
    saved = model.state_dict()
    buffers = {name: saved[name] for name, _ in model.named_buffers() if name in saved and name not in parameters}
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
