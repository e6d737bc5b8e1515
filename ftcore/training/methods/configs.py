"""PEFT's configuration for a method and a model: names checked, defaults that train well, heads always trained."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from peft import PeftConfig, TaskType
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from peft.utils.constants import TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING
from torch import nn
from transformers import PreTrainedModel

from ftcore.errors import BaseModelError, SpecError, first_line
from ftcore.spec import MethodSpec

HEAD = frozenset({"classifier", "score", "head", "pooler", "pre_classifier", "classification_head"})
"""transformers' names for what stands between a body and its classes."""
EMBEDDINGS = frozenset({"embed_tokens", "word_embeddings", "shared", "wte", "lm_head"})
PEFT_TYPES = {
    "lora": "LORA", "qlora": "LORA", "ia3": "IA3", "ln_tuning": "LN_TUNING", "prefix_tuning": "PREFIX_TUNING",
    "prompt_tuning": "PROMPT_TUNING", "p_tuning": "P_TUNING",
}  # fmt: skip
_UNFIT = {
    "ADALORA": "it must be told of every optimiser step; lora does not",
    "ADAPTION_PROMPT": "it cannot be merged, and is for decoders only; prefix_tuning is like it",
    "CARTRIDGE": "it is made from a long document, not from rows",
    "CPT": "it is made from the tokens of examples, not from rows",
    "MULTITASK_PROMPT_TUNING": "it needs rows of several tasks",
    "POLY": "it needs rows of several tasks",
    "SHADOW": "it cannot be merged",
    "XLORA": "it mixes adapters that are trained before",
}
"""PEFT types that rows of one task cannot train, or that leave nothing to serve, and why."""
_VIRTUAL = ("PREFIX_TUNING", "PROMPT_TUNING", "P_TUNING")


def peft_type(method: MethodSpec) -> str:
    """PEFT's name of the method's adapter."""
    return PEFT_TYPES[method.name] if method.name != "peft" else str(method.peft["peft_type"]).upper()


def check_method(method: MethodSpec, task: str = "SEQ_CLS") -> None:
    """Check what the spec alone cannot: the names that PEFT knows. Costs no model.

    Args:
        task: PEFT's name of the task.

    Raises:
        SpecError: An unknown type, unknown fields, or values that PEFT refuses; all at once.
    """
    if method.name == "full":
        return
    kind = peft_type(method)
    possible = sorted({item.value for item in PEFT_TYPE_TO_CONFIG_MAPPING} - _UNFIT.keys())
    if kind in _UNFIT:
        raise SpecError(f"method.peft.peft_type {kind} cannot be trained here: {_UNFIT[kind]}.")
    if kind not in possible:
        raise SpecError(f"method.peft.peft_type: saw {kind!r}; allowed: {', '.join(possible)}.")
    config_class = PEFT_TYPE_TO_CONFIG_MAPPING[kind]
    fields = {field.name for field in dataclasses.fields(config_class) if field.init}
    allowed = sorted(fields - {field.name for field in dataclasses.fields(PeftConfig)})
    faults = [f"method.peft.{name}: unknown" for name in sorted(method.peft.keys() - fields)]
    unread = ("target_modules", "modules_to_save")
    faults += [f"method.{name}: {kind} has none" for name in unread if getattr(method, name) and name not in fields]
    if faults:
        raise SpecError(f"{kind} does not have all fields that method sets:", details=faults, hint=", ".join(allowed))
    try:
        config_class(**_settings(method, task))
    except (ValueError, TypeError, AttributeError) as error:
        raise SpecError(f"method: PEFT refuses {kind}: {first_line(error)}") from error


def config_for(model: PreTrainedModel, method: MethodSpec, task: str, base_name: str) -> PeftConfig:
    """PEFT's configuration of the method for one model.

    Raises:
        SpecError: As `check_method`.
        BaseModelError: The method does not fit the model.
    """
    check_method(method, task)
    kind, settings = peft_type(method), _settings(method, task)
    fields = {field.name for field in dataclasses.fields(PEFT_TYPE_TO_CONFIG_MAPPING[kind])}
    whole = list(settings.get("modules_to_save") or ())
    if task == "SEQ_CLS" and "modules_to_save" in fields:
        settings["modules_to_save"] = [*whole, *head_modules(model)]
    if settings.get("target_modules") is None and "target_modules" in fields:
        settings |= _targets(model, kind)
    _refuse_cut_ties(model, settings.get("target_modules"), whole, base_name)
    return PEFT_TYPE_TO_CONFIG_MAPPING[kind](**settings)


def head_modules(model: nn.Module) -> list[str]:
    """Full names of the layers with weights of the classification head.

    PEFT by itself trains `classifier` and `score`: the pooler of BERT and the fresh dense layer of ModernBERT's head would
    stay as they were drawn. Layers, not what holds them: merging takes a saved module for one with a `weight`.
    """
    return [
        name
        for name, module in model.named_modules()
        if HEAD & set(name.split(".")) and next(module.parameters(recurse=False), None) is not None
    ]


def _settings(method: MethodSpec, task: str) -> dict[str, Any]:
    """The method's settings by PEFT's names; the model has no part in them."""
    kind = peft_type(method)
    settings: dict[str, Any] = {"task_type": TaskType(task), "target_modules": method.target_modules}
    if method.name in ("lora", "qlora"):
        settings |= {
            "r": method.rank, "lora_alpha": method.alpha, "lora_dropout": method.dropout, "use_dora": method.dora,
            "use_rslora": method.rslora, "init_lora_weights": True if method.init == "default" else method.init,
            "target_modules": method.target_modules or "all-linear",
        }  # fmt: skip
    if kind in _VIRTUAL:
        del settings["target_modules"]
        settings["num_virtual_tokens"] = method.virtual_tokens
    if kind == "PROMPT_TUNING":
        settings["prompt_tuning_init"] = "SAMPLE_VOCAB"  # vectors of words are where the model expects its inputs
    if kind in ("PROMPT_TUNING", "P_TUNING") and task == "SEQ_2_SEQ_LM":
        settings["num_transformer_submodules"] = 1  # they stand before the encoder's text only
    if kind == "P_TUNING":
        settings["encoder_dropout"] = 0.0
    if method.modules_to_save:
        settings["modules_to_save"] = list(method.modules_to_save)
    given = {name: value for name, value in method.peft.items() if name != "peft_type"}
    fields = {field.name for field in dataclasses.fields(PEFT_TYPE_TO_CONFIG_MAPPING[kind])}
    return {name: value for name, value in (settings | given).items() if name in fields}


def _targets(model: PreTrainedModel, kind: str) -> dict[str, Any]:
    """Which modules get the adapter where nobody says so."""
    architecture = model.config.model_type
    if kind == "LN_TUNING":  # PEFT's list lacks many architectures and knows one of two norms of others
        heads = head_modules(model)
        names = [
            name
            for name, module in model.named_modules()
            if "norm" in type(module).__name__.lower() and getattr(module, "weight", None) is not None
            and name not in heads
        ]  # fmt: skip
        return {"target_modules": names}
    if kind == "IA3":
        known = architecture in TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING
        return {} if known else {"target_modules": "all-linear", "feedforward_modules": []}
    return {"target_modules": "all-linear"} if kind not in ("TRAINABLE_TOKENS",) else {}


def _refuse_cut_ties(model: PreTrainedModel, targets: Any, whole: list[str], base_name: str) -> None:
    """Input and output embeddings that are one tensor would become two, and saving would keep only one of them."""
    if not model.config.tie_word_embeddings or model.get_output_embeddings() is None:
        return
    cut = []
    for name in (name for name, _ in model.named_modules() if name.rpartition(".")[2] in EMBEDDINGS):
        if isinstance(targets, str):  # PEFT takes a string as a regular expression
            meant = targets != "all-linear" and re.fullmatch(targets, name) is not None
        else:
            meant = any(f".{name}".endswith(f".{target}") for target in targets or ())
        if meant or any(name.endswith(item) for item in whole):
            cut.append(name)
    if cut:
        raise BaseModelError(
            f"{base_name} uses one tensor for input and output embeddings; an adapter on {', '.join(cut)} would split it.",
            hint="leave it out of method.target_modules and method.modules_to_save, or train with method.name=full",
        )
