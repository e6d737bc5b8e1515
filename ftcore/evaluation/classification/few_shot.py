"""A base model that classifies by going on from a prompt with examples: what a decoder can do before any training.

The answer is the label whose text is the likeliest after `Label:`, by the mean ln p of its tokens. Which examples come last moves
such answers by many points (Lu et al. 2022, "Fantastically ordered prompts and where to find them"), so several orders are asked,
their probabilities averaged, and the accuracy of each order told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ftcore.errors import BaseModelError
from ftcore.evaluation.classification.baselines import sample_per_class
from ftcore.evaluation.rows import Floats
from ftcore.models.choosing import Chooser
from ftcore.spec import FewShotSpec

Row = Mapping[str, Any]
ASK = "Label:"


def draw_examples(train: Sequence[Row], per_class: int, seed: int) -> list[Row]:
    """At most `per_class` rows of each class, one of each before the second of any; classes in an order drawn by `seed`."""
    labels = [str(row["label"]) for row in train]
    by_class: dict[str, list[int]] = {}
    rng = np.random.default_rng(seed)
    for position in sample_per_class(labels, seed, per_class):
        by_class.setdefault(labels[position], []).append(position)
    classes = sorted(by_class)
    shuffled = [by_class[classes[number]] for number in rng.permutation(len(classes))]
    return [train[rows[turn]] for turn in range(per_class) for rows in shuffled if turn < len(rows)]


def question(text: str) -> str:
    return f"Text: {text}\n{ASK}"


def example(text: str, label: str) -> str:
    return f"{question(text)} {label}\n\n"


class FewShot:
    """Examples that fit into the model's positions, and the labels to choose from.

    Args:
        chooser: The base model.
        train: Training rows.
        settings: How many examples and orders.
        max_length: Tokens of a text; of a longer one the beginning is shown.
        longest: Tokens of the longest question.
        seed: Draws examples and orders.

    Raises:
        BaseModelError: Not one example fits.
    """

    def __init__(
        self, chooser: Chooser, train: Sequence[Row], settings: FewShotSpec, max_length: int, longest: int, seed: int
    ) -> None:
        self.labels = sorted({str(row["label"]) for row in train})
        self._chooser, self._max_length = chooser, max_length
        self._options = chooser.options(ASK, self.labels)
        self.drawn = draw_examples(train, settings.per_class, seed)
        room = None
        if chooser.num_positions is not None:
            room = chooser.num_positions - longest - max(len(ids) for ids in self._options) - 1
        self.examples = self._fitting(room)
        if not self.examples:
            raise BaseModelError(
                f"The model has {chooser.num_positions} positions: no example fits beside a question of {longest} tokens.",
                hint="leave few_shot out of evaluation.baselines, or set training.max_length lower",
            )
        rng = np.random.default_rng(seed)
        self.orders = [rng.permutation(len(self.examples)) for _ in range(settings.num_orders)]

    def _fitting(self, room: int | None) -> list[tuple[str, Row]]:
        shown, used = [], 0
        for row in self.drawn:
            text = example(self._chooser.cut(str(row["text"]), self._max_length), str(row["label"]))
            used += self._chooser.num_tokens(text)
            if room is not None and used > room:
                break
            shown.append((text, row))
        return shown

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """[orders, texts, labels], each row with the sum 1: likelihoods of the labels' texts over their sum."""
        asked = [question(self._chooser.cut(text, self._max_length)) for text in texts]
        found = []
        for order in self.orders:
            beginning = "".join(self.examples[position][0] for position in order)
            scores = self._chooser.scores(beginning, asked, self._options)
            likely = np.exp(scores - scores.max(axis=1, keepdims=True))
            found.append(likely / likely.sum(axis=1, keepdims=True))
        return np.stack(found)


def longest_question(chooser: Chooser, texts: Sequence[str], max_length: int) -> int:
    """Tokens of the longest of the questions about `texts`."""
    return max(chooser.num_tokens(question(chooser.cut(text, max_length))) for text in texts)


def spread_of_orders(probabilities: Floats, labels: Sequence[str], targets: Sequence[str]) -> dict[str, Any]:
    """Accuracy with each order of the examples, and how far the best and the worst lie apart."""
    code = {label: number for number, label in enumerate(labels)}
    wanted = np.array([code.get(target, -1) for target in targets])
    accuracy = [float((order.argmax(axis=1) == wanted).mean()) for order in probabilities]
    return {"accuracy": accuracy, "spread": max(accuracy) - min(accuracy)}
