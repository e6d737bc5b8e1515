"""Which examples are shown, in which orders, and what is made of the answers."""

from __future__ import annotations

import numpy as np
import pytest

from ftcore.errors import BaseModelError
from ftcore.evaluation.classification.few_shot import FewShot, draw_examples, longest_question, spread_of_orders
from ftcore.models.choosing import Chooser
from ftcore.models.devices import Device
from ftcore.models.loading import LoadedModel
from ftcore.spec import FewShotSpec
from tests.tiny_families import build

TRAIN = [{"id": str(i), "text": f"card {'lost ' * (i % 5)}", "label": "abcd"[i % 4]} for i in range(40)]


@pytest.fixture
def chooser() -> Chooser:
    return Chooser(LoadedModel(*build("llama")), Device("cpu", "fp32", 1), 8)  # 96 positions, one token a word


def test_one_of_each_class_comes_before_the_second_of_any() -> None:
    drawn = draw_examples(TRAIN, 3, seed=1)
    assert [sorted(row["label"] for row in drawn[start : start + 4]) for start in (0, 4, 8)] == [list("abcd")] * 3
    assert len({row["id"] for row in drawn}) == 12 and drawn == draw_examples(TRAIN, 3, seed=1)
    assert [row["id"] for row in drawn] != [row["id"] for row in draw_examples(TRAIN, 3, seed=2)]
    few = draw_examples([*TRAIN[:4], TRAIN[4]], 3, seed=1)
    assert len(few) == 5


def test_as_many_examples_as_there_is_room_for(chooser: Chooser) -> None:
    longest = longest_question(chooser, ["card " * 30], 8)
    assert longest == 10  # the text is cut
    asked = FewShot(chooser, TRAIN, FewShotSpec(per_class=10), 8, longest, seed=1)
    used = sum(chooser.num_tokens(text) for text, _ in asked.examples)
    assert 4 <= len(asked.examples) < 40 and 96 - 10 - 2 - 8 < used + 4 <= 96
    assert len(asked.orders) == 3 and len({tuple(order) for order in asked.orders}) == 3
    with pytest.raises(BaseModelError, match="no example fits beside a question of 94 tokens"):
        FewShot(chooser, TRAIN, FewShotSpec(), 8, 94, seed=1)


def test_every_order_gives_probabilities(chooser: Chooser) -> None:
    asked = FewShot(chooser, TRAIN, FewShotSpec(num_orders=5), 16, 10, seed=1)
    found = asked.probabilities(["card lost", "money late please", "card"])
    assert found.shape == (5, 3, 4) and found.sum(axis=2) == pytest.approx(1)
    assert not np.allclose(found[0], found[1])  # the order matters to a model


def test_the_spread_is_between_the_best_and_the_worst_order() -> None:
    right, wrong = [0.9, 0.1], [0.2, 0.8]
    orders = np.array([[right, right], [right, wrong], [wrong, wrong]])
    assert spread_of_orders(orders, ["a", "b"], ["a", "a"]) == {"accuracy": [1.0, 0.5, 0.0], "spread": 1.0}
    assert spread_of_orders(orders, ["a", "b"], ["new", "a"])["accuracy"] == [0.5, 0.0, 0.0]
