"""`python -m scripts.make_example_data.replies.ceiling`: what chrF a reader could reach who knows the shop's rules.

The replies choose freely between phrasings, so nobody reaches 1. Printed for rows of `conversations` drawn at random: the same
reply with its phrasings drawn anew, the reply in the commonest phrasings, and that with something not understood.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from typing import Any

from ..compose import Message, load
from ..near import Seen
from ..words import Customer
from .__main__ import SEED, SIMILARITY, WAVE_ONE, made_rows
from .answers import reply

NUM_ROWS = 1198
"""As many as the holdout of the example has."""
Asked = tuple[Message, Customer]


class Commonest(random.Random):
    """Always takes the likeliest, the first of equals."""

    def choice(self, seq: Any) -> Any:
        return seq[0]

    def choices(self, population: Any, weights: Sequence[float] | None = None, **_: Any) -> list[Any]:  # type: ignore[override]
        return [population[weights.index(max(weights)) if weights else 0]]


def readings(asked: Sequence[Asked]) -> dict[str, list[str]]:
    """By name, replies to all messages."""
    commonest = Commonest()
    return {
        "phrasings drawn anew": [str(reply(*row, random.Random(place))) for place, row in enumerate(asked)],
        "commonest phrasings": [str(reply(*row, commonest)) for row in asked],
        "the same, no fact but the name": [
            str(reply(dataclasses.replace(message, facts={}), customer, commonest)) for message, customer in asked
        ],
        "the same, the last case of the intent": [
            str(reply(dataclasses.replace(message, ask=""), customer, commonest)) for message, customer in asked
        ],
    }


def main() -> None:
    from sacrebleu.metrics import CHRF

    made = list(made_rows("conversations", SEED, load(*WAVE_ONE), Seen(SIMILARITY)))
    chosen = random.Random(0).sample(made, NUM_ROWS)
    wanted = [row["messages"][-1]["content"] for row, _, _ in chosen]
    for name, replies in readings([(message, customer) for _, message, customer in chosen]).items():
        print(f"{CHRF().corpus_score(replies, [wanted]).score / 100:.3f}  {name}")


if __name__ == "__main__":
    main()
