"""Class weights."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.errors import UsageError
from ftcore.training.classification import class_weights
from tests.tiny_bert import LABELS, make_rows
from tests.tiny_runs import build_bases, run

SETTINGS = st.one_of(st.just("balanced"), st.dictionaries(st.sampled_from(LABELS), st.floats(0.01, 100)))


@given(SETTINGS, st.lists(st.integers(0, 2), min_size=1, max_size=50))
def test_the_mean_over_the_training_rows_is_one(setting: str, targets: list[int]) -> None:
    weights = class_weights(setting, LABELS, targets)
    assert weights is not None
    assert sum(weights[target] for target in targets) / len(targets) == pytest.approx(1)


def test_balanced_classes_weigh_the_same_and_named_ones_as_named() -> None:
    targets = [0] * 6 + [1] * 3 + [2]
    weights = class_weights("balanced", LABELS, targets)
    assert weights is not None
    assert [weights[0] * 6, weights[1] * 3, weights[2] * 1] == pytest.approx([10 / 3] * 3)
    weights = class_weights({"refund": 4.0}, LABELS, targets)
    assert weights is not None
    assert weights[2] / weights[0] == pytest.approx(4) and weights[0] == weights[1]
    assert class_weights("none", LABELS, targets) is None


def test_an_unknown_label_is_named() -> None:
    with pytest.raises(UsageError, match="names 1 labels that are no class: crad"):
        class_weights({"crad": 2.0, "card": 1.0}, LABELS, [0, 1, 2])


def test_weights_change_what_is_learnt(tmp_path: Path) -> None:
    rows = [row for at, row in enumerate(make_rows(90)) if row["label"] != "refund" or at % 8 == 0]
    bases = build_bases(tmp_path / "bases")
    common = {"train": rows, "batch_size": 16, "epochs": 1, "learning_rate": 2e-3}
    plain, balanced = (
        run(bases, "classification", tmp_path / name, class_weights=name, **common) for name in ("none", "balanced")
    )
    assert plain.history.loss != balanced.history.loss
    assert plain.model_digest != balanced.model_digest
