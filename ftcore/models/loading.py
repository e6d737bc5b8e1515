"""Saving and loading a classifier folder, trusting only bytes that were checked.

A model folder holds `config.json`, `model.safetensors`, the tokenizer's files, `labels.json` (a list; the index is the
class) and `MANIFEST.json`, whose digest is the model's identity. Nothing is unpickled and no code from the folder runs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from ftcore.errors import IntegrityError
from ftcore.records import canonical_json
from ftcore.store import MANIFEST, Manifest, write_durable

WEIGHTS = "model.safetensors"
LABELS = "labels.json"


@dataclass(frozen=True)
class LoadedModel:
    """A classifier in memory, in evaluation mode, float32, on the CPU."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    labels: tuple[str, ...]
    """Position is the class index."""


def save_classifier(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, labels: tuple[str, ...], folder: Path
) -> str:
    """Write a model folder, manifest last.

    Returns:
        The model digest: SHA-256 of the manifest.

    Raises:
        IntegrityError: A weight is NaN or infinite; nothing is written then.
    """
    bad = [name for name, tensor in model.state_dict().items() if not _is_finite(tensor)]
    if bad:
        raise IntegrityError(f"{len(bad)} tensors are not finite (first: {bad[0]}); such a model is never saved.")
    transformers_logging.disable_progress_bar()
    folder.mkdir(parents=True, exist_ok=True)
    model.config.id2label = dict(enumerate(labels))
    model.config.label2id = {label: index for index, label in enumerate(labels)}
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_durable(folder / LABELS, canonical_json(list(labels)))
    manifest = Manifest.of(folder)
    manifest.write(folder)
    return manifest.digest


def load_classifier(folder: Path) -> LoadedModel:
    """Check a model folder, then load it.

    Raises:
        IntegrityError: Files do not match the manifest (where there is one), the weights are not readable safetensors
            or not all finite, or labels and weights disagree.
    """
    if (folder / MANIFEST).is_file():
        Manifest.read(folder).verify(folder)
    labels = read_labels(folder)
    check_weights(folder / WEIGHTS)
    transformers_logging.disable_progress_bar()
    try:
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise IntegrityError(f"{folder} cannot be loaded as a classifier: {_first_line(error)}") from error
    if model.config.num_labels != len(labels):
        seen = f"{model.config.num_labels} outputs in config.json, {len(labels)} in {LABELS}"
        raise IntegrityError(f"{folder}: {seen}; wanted the same number.")
    return LoadedModel(model.eval(), tokenizer, labels)


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
        raise IntegrityError(f"{path} is not a readable safetensors file: {_first_line(error)}") from error
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


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def save_generator(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> str:
    """Placeholder until the merge."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    manifest = Manifest.of(folder)
    manifest.write(folder)
    return manifest.digest


def load_generator(folder: Path) -> Any:
    """Placeholder until the merge."""
    from types import SimpleNamespace

    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    kind = AutoModelForSeq2SeqLM if AutoConfig.from_pretrained(folder).is_encoder_decoder else AutoModelForCausalLM
    return SimpleNamespace(model=kind.from_pretrained(folder, dtype=torch.float32).eval())
