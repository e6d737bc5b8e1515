"""`python -m scripts.make_example_data.replies.misread`: what chrF and exact match are left to a reader who misses something.

Replies follow from the messages, so that a reader who understands everything gets 1. Printed for rows of `conversations` drawn at random.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable

from ..compose import Message, load
from ..near import Seen
from ..words import Customer
from .__main__ import SEED, SIMILARITY, WAVE_ONE, made_rows
from .answers import mistaken_for, reply

NUM_ROWS = 800
"""About as many as the holdout of the example has."""


def another_intent(message: Message) -> Message:
    """The message as if it were about what is most easily mistaken for it; the first of them by name."""
    return dataclasses.replace(message, label=mistaken_for(message.label)[0])


READINGS: dict[str, Callable[[Message], Message]] = {
    "everything understood": lambda message: message,
    "no fact but the name": lambda message: dataclasses.replace(message, facts={}),
    "the last case of the intent": lambda message: dataclasses.replace(message, ask=""),
    "another intent": another_intent,
}


def misread(message: Message, customer: Customer) -> dict[str, str]:
    """By reading, the reply that it leads to."""
    return {name: str(reply(as_read(message), customer)) for name, as_read in READINGS.items()}


def main() -> None:
    from sacrebleu.metrics import CHRF

    made = list(made_rows("conversations", SEED, load(*WAVE_ONE), Seen(SIMILARITY)))
    chosen = random.Random(0).sample(made, NUM_ROWS)
    wanted = [row["messages"][-1]["content"] for row, _, _ in chosen]
    read = [misread(message, customer) for _, message, customer in chosen]
    for name in READINGS:
        replies = [replies[name] for replies in read]
        exact = sum(found == right for found, right in zip(replies, wanted, strict=True)) / NUM_ROWS
        print(f"{CHRF().corpus_score(replies, [wanted]).score / 100:.3f}  {exact:.3f}  {name}")


if __name__ == "__main__":
    main()
