"""Adapters that cannot be merged (prefix, prompt and p-tuning): stored beside the base weights, put on again at loading.

`adapter/` inside a model folder holds PEFT's `adapter_config.json` and `adapter_model.safetensors`. The base weights beside it
are the ones it goes onto, so nothing is looked up by the base model's name.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ftcore.errors import IntegrityError, first_line
from ftcore.models.heads import read_last_tokens

FOLDER = "adapter"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
_WRAPPED = (".modules_to_save.default", ".base_layer")
"""What PEFT puts into the names of weights that it wraps. Beside a trained copy (`modules_to_save`) it keeps the first values."""
_FIRST_VALUES = ".original_module"


def is_adapted(model: nn.Module) -> bool:
    """Whether this is a PEFT model whose adapter is not merged."""
    return hasattr(model, "peft_config") and hasattr(model, "get_base_model")


def plain_model(model: Any) -> Any:
    """The model under an adapter; one without is returned as it is."""
    return model.get_base_model() if is_adapted(model) else model


def base_state(model: Any) -> dict[str, torch.Tensor]:
    """Weights of the base model under an adapter by their plain names; modules that PEFT trains as a whole have trained values.

    Args:
        model: A PEFT model.

    Raises:
        IntegrityError: The adapter has changed the base model's modules so far that its weights cannot be told apart.
    """
    base = model.get_base_model()
    with torch.device("meta"):
        wanted = type(base)(copy.deepcopy(base.config)).state_dict().keys()
    state = {}
    for name, tensor in base.state_dict().items():
        plain = name
        for mark in _WRAPPED:
            plain = plain.replace(mark, "")
        if plain in wanted and _FIRST_VALUES not in name:
            state[plain] = tensor
    missing = sorted(wanted - state.keys())
    if missing:
        kind = model.active_peft_config.peft_type
        hint = "merge the adapter first (merge_and_unload)"
        raise IntegrityError(
            f"A {kind} adapter hides {len(missing)} weights of its base model (first: {missing[0]}).", hint=hint
        )
    return state


def save_adapter(model: Any, folder: Path) -> None:
    """Write the adapter alone, without the card that PEFT adds."""
    # "auto" would ask the Hub whether the vocabulary has grown; new embeddings belong into modules_to_save.
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)


def put_on(base: nn.Module, folder: Path) -> nn.Module:
    """The base model with the adapter in `folder`, whose weights the caller has checked; in evaluation mode.

    Raises:
        IntegrityError: The adapter does not fit the base model, or tensors of it are missing or left over.
    """
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import safe_open

    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if not (folder / name).is_file():
            raise IntegrityError(f"{folder} has no {name}.")
    try:
        model = PeftModel.from_pretrained(base, str(folder), is_trainable=False, use_safetensors=True)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise IntegrityError(f"{folder} cannot be put on its base model: {first_line(error)}") from error
    with safe_open(folder / ADAPTER_WEIGHTS, framework="pt") as file:
        stored = set(file.keys())
    seen = set(get_peft_model_state_dict(model, save_embedding_layers=False))
    if stored != seen:
        odd = sorted(stored ^ seen)
        raise IntegrityError(f"{folder}: {len(odd)} tensors are missing or left over (first: {odd[0]}).")
    if model.active_peft_config.is_prompt_learning:
        read_last_tokens(model)
    adapted: nn.Module = model.eval()
    return adapted


def virtual_inputs(model: Any, ids: torch.Tensor, mask: torch.Tensor, pad_id: int) -> tuple[dict[str, Any], int]:
    """What the base decoder's `generate` takes so that the adapter's virtual tokens come before each prompt.

    PEFT's own `generate` changes methods of the base model while it runs, which other threads must not see. Positions are
    counted over the attention mask, so padding between virtual tokens and prompt changes nothing.

    Args:
        model: A PEFT model around a decoder.
        ids: [rows, width], padded on the left.
        mask: [rows, width].

    Returns:
        Arguments, and how many leading columns of the result are not new tokens.
    """
    config = model.active_peft_config
    if not config.is_prompt_learning:
        return {"input_ids": ids, "attention_mask": mask}, ids.shape[1]
    num_rows, num_virtual = len(ids), config.num_virtual_tokens
    virtual_mask = mask.new_ones(num_rows, num_virtual)
    prompt = model.get_prompt(batch_size=num_rows)
    if not isinstance(prompt, torch.Tensor):  # keys and values: generate takes as many leading tokens for known
        filler = ids.new_full((num_rows, num_virtual), pad_id)
        whole = torch.cat([filler, ids], dim=1)
        inputs = {"input_ids": whole, "attention_mask": torch.cat([virtual_mask, mask], dim=1)}
        return {**inputs, "past_key_values": prompt}, whole.shape[1]
    vectors = model.get_base_model().get_input_embeddings()(ids)
    embedded = torch.cat([prompt.to(vectors.dtype), vectors], dim=1)
    return {"inputs_embeds": embedded, "attention_mask": torch.cat([virtual_mask, mask], dim=1)}, 0
