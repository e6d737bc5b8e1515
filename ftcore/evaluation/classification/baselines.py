"""Cheap models that every candidate must beat: the majority class, and nearest centroid on frozen embeddings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ftcore.errors import DataRefused
from ftcore.evaluation.rows import Floats

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
