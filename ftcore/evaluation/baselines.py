"""Cheap models that every candidate must beat: the majority class, and nearest centroid on frozen embeddings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from ftcore.errors import BaseModelError, DataRefused
from ftcore.evaluation.rows import Floats
from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.models.tokens import backend_tokenizer, pad

ROWS_PER_CLASS = 50
"""Training rows per class that a centroid is made of: more move it by less than the noise, and cost a forward pass each."""


def majority_class(train_labels: Sequence[str]) -> str:
    """Most frequent training label; the alphabetically first of equals.

    Raises:
        DataRefused: There are no training rows.
    """
    if not train_labels:
        raise DataRefused("The training split is empty: there is no majority class.")
    counts = Counter(train_labels)
    return min(counts, key=lambda label: (-counts[label], label))


def sample_per_class(labels: Sequence[str], seed: int, per_class: int = ROWS_PER_CLASS) -> list[int]:
    """Positions of at most `per_class` rows of each class, drawn without replacement, in ascending order."""
    rng = np.random.default_rng(seed)
    by_class: dict[str, list[int]] = {}
    for position, label in enumerate(labels):
        by_class.setdefault(label, []).append(position)
    chosen: list[int] = []
    for label in sorted(by_class):
        positions = by_class[label]
        take = positions if len(positions) <= per_class else rng.choice(positions, per_class, replace=False).tolist()
        chosen += take
    return sorted(chosen)


def nearest_centroid(embeddings: Floats, labels: Sequence[str], queries: Floats) -> tuple[list[str], Floats]:
    """Class whose mean direction is nearest by cosine.

    Args:
        embeddings: [training rows, hidden].
        labels: One per training row.
        queries: [rows, hidden].

    Returns:
        Predicted labels and their cosine similarity [rows], -1 to 1.
    """
    classes = sorted(set(labels))
    code = {label: index for index, label in enumerate(classes)}
    codes = np.array([code[label] for label in labels])
    sums = np.zeros((len(classes), embeddings.shape[1]))
    np.add.at(sums, codes, _unit(embeddings))
    similarity = _unit(queries) @ _unit(sums).T
    best = similarity.argmax(axis=1)
    return [classes[index] for index in best], similarity[np.arange(len(best)), best]


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Floats = np.asarray(vectors, dtype=float) / np.maximum(lengths, 1e-12)
    return scaled


def base_embeddings(base: BaseModel, texts: Sequence[str], device: Device, max_length: int, batch_size: int) -> Floats:
    """[texts, hidden]: mean-pooled last hidden state of the base model as it was before any fine-tuning.

    Texts of like length share a batch; the order of the result is that of `texts`.

    Raises:
        BaseModelError: The base model cannot be loaded as an encoder.
    """
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # heads that an encoder does not use are expected, not news
    try:
        model = AutoModel.from_pretrained(base.path, local_files_only=True, use_safetensors=True, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(base.path, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BaseModelError(f"Base model {base.name} cannot be loaded as an encoder: {first_line}") from error
    model = model.to(device.device).eval()
    tokens = [encoding.ids for encoding in backend_tokenizer(tokenizer, max_length).encode_batch_fast(list(texts))]
    order = np.argsort([len(row) for row in tokens], kind="stable")
    embeddings = np.zeros((len(tokens), int(model.config.hidden_size)))
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        ids, mask = (
            tensor.to(device.device) for tensor in pad([tokens[row] for row in rows], tokenizer.pad_token_id or 0)
        )
        with torch.inference_mode(), device.autocast():
            hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).float()
        embeddings[rows] = ((hidden.float() * weights).sum(dim=1) / weights.sum(dim=1)).cpu().numpy()
    return embeddings
