"""Saving and loading model folders, trusting only bytes that were checked.

A model folder holds `config.json`, the weights as safetensors, the tokenizer's files and `MANIFEST.json`, whose digest is the
model's identity. A classifier also has `labels.json` (a list; the index is the class); a folder without it generates text, as a
decoder or from encoder to decoder, as its configuration says. A model whose adapter cannot be merged has it in `adapter/`.
Nothing is unpickled and no code from the folder runs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)
from transformers.utils import logging as transformers_logging

from ftcore.errors import BaseModelError, IntegrityError, first_line
from ftcore.models import adapters
from ftcore.models.base import BaseModel
from ftcore.models.tokens import pad_id_of
from ftcore.records import canonical_json
from ftcore.store import MANIFEST, Manifest, write_durable

WEIGHTS = "model.safetensors"
LABELS = "labels.json"

Kind = Literal["classifier", "decoder", "seq2seq"]
_AUTO = {
    "classifier": AutoModelForSequenceClassification,
    "decoder": AutoModelForCausalLM,
    "seq2seq": AutoModelForSeq2SeqLM,
}
_GENERATORS: dict[str, Kind] = {
    **dict.fromkeys(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values(), "decoder"),
    **dict.fromkeys(MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES.values(), "seq2seq"),
}
"""Class name -> kind; an encoder-decoder counts as such where transformers lists it as a decoder too."""


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory, in evaluation mode, float32, on the CPU."""

    model: Any
    """A PreTrainedModel, or a PeftModel around one."""
    tokenizer: PreTrainedTokenizerBase
    labels: tuple[str, ...] = ()
    """Position is the class index; empty for a model that generates text."""

    @property
    def kind(self) -> Kind:
        """What the model does."""
        if self.labels:
            return "classifier"
        return "seq2seq" if self.model.config.is_encoder_decoder else "decoder"


def save_model(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, folder: Path, labels: tuple[str, ...] | None = None
) -> str:
    """Write a model folder, manifest last.

    Args:
        model: A transformers model, or a PEFT model: its adapter is stored apart. Merge adapters that can be merged before.
        labels: Class names of a classifier; None: the model generates text.

    Returns:
        The model digest: SHA-256 of the manifest.

    Raises:
        IntegrityError: A weight is NaN or infinite, or an adapter cannot be stored apart; nothing is written then.
    """
    bad = [name for name, tensor in model.state_dict().items() if not _is_finite(tensor)]
    if bad:
        raise IntegrityError(f"{len(bad)} tensors are not finite (first: {bad[0]}); such a model is never saved.")
    adapted: Any = model if adapters.is_adapted(model) else None
    base: Any = adapters.plain_model(model)
    state = adapters.base_state(adapted) if adapted is not None else None
    transformers_logging.disable_progress_bar()
    folder.mkdir(parents=True, exist_ok=True)
    if labels is not None:
        base.config.get_text_config().pad_token_id = pad_id_of(tokenizer)  # as in training
        base.config.id2label = dict(enumerate(labels))
        base.config.label2id = {label: index for index, label in enumerate(labels)}
    base.save_pretrained(folder, state_dict=state)
    if adapted is not None:
        adapters.save_adapter(adapted, folder / adapters.FOLDER)
    tokenizer.save_pretrained(folder)
    if labels is not None:
        write_durable(folder / LABELS, canonical_json(list(labels)))
    manifest = Manifest.of(folder)
    manifest.write(folder)
    return manifest.digest


def save_classifier(model: nn.Module, tokenizer: PreTrainedTokenizerBase, labels: tuple[str, ...], folder: Path) -> str:
    """`save_model` of a classifier."""
    return save_model(model, tokenizer, folder, labels)


def load_model(folder: Path, kind: Kind | None = None) -> LoadedModel:
    """Check a model folder, then load it.

    Args:
        kind: What it must hold; None: whatever it does.

    Raises:
        IntegrityError: Files do not match the manifest (where there is one), weights are not readable safetensors, not all
            finite, missing or left over, or labels and weights disagree.
    """
    if (folder / MANIFEST).is_file():
        Manifest.read(folder).verify(folder)
    kind = kind or kind_of(folder)
    labels = read_labels(folder) if kind == "classifier" else ()
    weights = sorted(folder.glob("model*.safetensors")) or [folder / WEIGHTS]
    adapter = folder / adapters.FOLDER
    for path in [*weights, *([adapter / adapters.ADAPTER_WEIGHTS] if adapter.is_dir() else [])]:
        check_weights(path)
    try:
        model, faults = _load(folder, kind)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise IntegrityError(f"{folder} cannot be loaded as a {kind}: {first_line(error)}") from error
    if kind == "classifier" and model.config.num_labels != len(labels):
        seen = f"{model.config.num_labels} outputs in config.json, {len(labels)} in {LABELS}"
        raise IntegrityError(f"{folder}: {seen}; wanted the same number.")
    if faults:
        raise IntegrityError(f"{folder}: {len(faults)} weights are missing or left over (first: {faults[0]}).")
    if adapter.is_dir():
        return LoadedModel(adapters.put_on(model, adapter), tokenizer, labels)
    return LoadedModel(model.eval(), tokenizer, labels)


def load_classifier(folder: Path) -> LoadedModel:
    """`load_model` of a folder that must hold a classifier.

    Raises:
        IntegrityError: As `load_model`, or the folder has no labels.
    """
    return load_model(folder, "classifier")


def load_generative_base(base: BaseModel) -> LoadedModel:
    """A base model as it is, with its own language-model head.

    Raises:
        BaseModelError: transformers cannot load it, or the head's weights are not in the folder.
    """
    kind: Kind = "decoder"
    try:
        if AutoConfig.from_pretrained(base.path, local_files_only=True).is_encoder_decoder:
            kind = "seq2seq"
        model, faults = _load(base.path, kind)
        tokenizer = AutoTokenizer.from_pretrained(base.path, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise BaseModelError(f"{base.name} cannot be loaded as a {kind}: {first_line(error)}") from error
    missing = [fault for fault in faults if fault in model.state_dict()]
    if missing:
        raise BaseModelError(
            f"{base.name} lacks {len(missing)} weights of a {kind} (first: {missing[0]}).",
            hint="name a base model that was trained to generate text",
        )
    return LoadedModel(model.eval(), tokenizer)


def kind_of(folder: Path) -> Kind:
    """What the model in `folder` does: a folder with labels classifies, others generate as their architecture says.

    Raises:
        IntegrityError: The configuration cannot be read, or names an architecture that does not generate text.
    """
    if (folder / LABELS).exists():
        return "classifier"
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise IntegrityError(f"{folder} has no readable config.json: {first_line(error)}") from error
    architecture = (config.architectures or ["none"])[0]
    if architecture not in _GENERATORS:
        seen = f"saw the architecture {architecture} and no {LABELS}"
        raise IntegrityError(f"{folder}: {seen}; wanted a classifier with labels, or a model that generates text.")
    return "seq2seq" if config.is_encoder_decoder else "decoder"


def _load(folder: Path, kind: Kind) -> tuple[PreTrainedModel, list[str]]:
    """Model in float32, and the names of weights that are missing, left over or of another shape.

    transformers fills missing weights with random numbers and only logs it, so the caller has to look.
    """
    transformers_logging.disable_progress_bar()
    model, info = _AUTO[kind].from_pretrained(
        folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
    )
    odd = [*info["missing_keys"], *info["unexpected_keys"], *(item[0] for item in info["mismatched_keys"])]
    return model, sorted(odd)


def check_weights(path: Path) -> None:
    """Read a safetensors file's header and every value.

    Raises:
        IntegrityError: It is missing or truncated, its header is not valid, or a value is NaN or infinite.
    """
    try:
        with safe_open(path, framework="pt") as file:
            bad = [name for name in file.keys() if not _is_finite(file.get_tensor(name))]  # noqa: SIM118 (not a dict)
    except FileNotFoundError:
        raise IntegrityError(f"{path.parent} has no {path.name}.") from None
    except (SafetensorError, OSError) as error:
        raise IntegrityError(f"{path} is not a readable safetensors file: {first_line(error)}") from error
    if bad:
        raise IntegrityError(f"{path}: {len(bad)} tensors hold NaN or infinity (first: {bad[0]}).")


def read_labels(folder: Path) -> tuple[str, ...]:
    """Class names of a model folder; the position is the class index.

    Raises:
        IntegrityError: The file is missing or is no list of distinct names.
    """
    try:
        labels: Any = json.loads((folder / LABELS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise IntegrityError(f"{folder} has no {LABELS}: it is not an ftcore model folder.") from None
    except ValueError as error:
        raise IntegrityError(f"{folder / LABELS} cannot be read: {error}.") from None
    if (
        not isinstance(labels, list)
        or not all(isinstance(label, str) for label in labels)
        or len(set(labels)) != len(labels)
    ):
        raise IntegrityError(f"{folder / LABELS}: wanted a list of distinct class names.")
    return tuple(labels)


def _is_finite(tensor: torch.Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())
