from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from ftcore.errors import DataRefused
from ftcore.evaluation.classification.baselines import majority_class, nearest_centroid, sample_per_class
from ftcore.models.devices import Device

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
