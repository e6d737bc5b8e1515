from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ftcore.errors import BaseModelError, DataRefused
from ftcore.evaluation.baselines import base_embeddings, majority_class, nearest_centroid, sample_per_class
from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from tests.tiny_bert import build_tiny_bert

CPU = Device("cpu", "fp32", 1)


def test_majority_class_is_the_most_frequent_then_the_first() -> None:
    assert majority_class(["b", "a", "b"]) == "b"
    assert majority_class(["b", "a"]) == "a"
    with pytest.raises(DataRefused, match="training split is empty"):
        majority_class([])


def test_sample_takes_at_most_so_many_of_each_class() -> None:
    labels = ["a"] * 100 + ["b"] * 3
    chosen = sample_per_class(labels, seed=1, per_class=10)
    assert Counter(labels[position] for position in chosen) == {"a": 10, "b": 3}
    assert chosen == sorted(set(chosen)) == sample_per_class(labels, seed=1, per_class=10)
    assert chosen != sample_per_class(labels, seed=2, per_class=10)


def test_nearest_centroid_goes_by_direction() -> None:
    known = np.array([[1.0, 0.1], [5.0, -0.2], [0.0, 2.0]])
    labels, similarity = nearest_centroid(known, ["x", "x", "y"], np.array([[0.1, 0.01], [0.2, 9.0]]))
    assert labels == ["x", "y"]
    assert (similarity > 0.9).all()


def test_base_embeddings_keep_the_order_and_ignore_padding(tmp_path: Path) -> None:
    base = build_tiny_bert(tmp_path / "base")
    texts = ["card lost", "my money is late please", "refund"]
    together = base_embeddings(base, texts, CPU, max_length=16, batch_size=3)
    alone = np.concatenate([base_embeddings(base, [text], CPU, max_length=16, batch_size=1) for text in texts])
    assert len(together) == 3 and together.shape[1] > 1
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_base_model_that_does_not_load_is_named(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="broken cannot be loaded"):
        base_embeddings(BaseModel(tmp_path, "0" * 64, "broken"), ["card"], CPU, 16, 1)
