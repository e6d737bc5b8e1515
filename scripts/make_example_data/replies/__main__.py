"""`python -m scripts.make_example_data.replies --out replies`: writes the example data for language models, always the same bytes."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from ..compose import Bank, Message, Mix, fresh, load
from ..near import Seen
from ..waves import WEIGHTS, day, moment
from ..words import HOUSEHOLD, ITEMS, Customer, words
from ..writing import make
from .answers import POLICIES, reply
from .card import card
from .flaws import FLAWS, spoil

SEED = 20260201
Row = dict[str, Any]
WAVE_ONE = ("delivery.yaml", "money.yaml", "account.yaml", "product.yaml")
SIMILARITY = 0.45
"""Messages more alike than this are refused: stricter than the intents set, whose rows come from the same banks."""
MIX = Mix(aside_before=0.0, aside_after=0.0, either=0.0)
"""A message is about one thing: what is mentioned in passing is for the intents set to be hard."""
ORDERS = 0.6
"""Share of messages that give the order, where the shop needs it."""
INTENTS = {label: weight for label, weight in WEIGHTS.items() if label in POLICIES}
"""What is asked about orders, and how often."""
ROWS = {"conversations": 8000, "pairs": 600, "ratings": 1000}
FIRST = {"conversations": 30001, "pairs": 24001, "ratings": 26001}
STRETCH = {
    "conversations": (day(2026, 1, 1), day(2026, 7, 1)),
    "pairs": (day(2026, 7, 1), day(2026, 8, 1)),
    "ratings": (day(2026, 7, 1), day(2026, 8, 1)),
}
SLIPS = 0.05
"""Share of ratings that are the wrong way round, as people's are."""


def build(seed: int) -> dict[str, list[Row]]:
    """Every file of the data set, by name. No message nearly repeats one of any file, and no customer is in two files."""
    bank, seen = load(*WAVE_ONE), Seen(SIMILARITY)
    return {name: _rows(name, seed, bank, seen) for name in ROWS}


def _rows(name: str, seed: int, bank: Bank, seen: Seen) -> list[Row]:
    rows = [row for row, _, _ in made_rows(name, seed, bank, seen)]
    rows.sort(key=lambda row: (row["timestamp"], row["group"]))
    return [{"id": f"{name[0]}{place:05d}", **row} for place, row in enumerate(rows, start=1)]


def made_rows(name: str, seed: int, bank: Bank, seen: Seen) -> Iterator[tuple[Row, Message, Customer]]:
    """The rows of a file, customer by customer, each with the message and the customer that it was made of."""
    count, number = 0, FIRST[name]
    while count < ROWS[name]:
        rng = random.Random(f"{seed}/{name}/{number}")
        customer = Customer.draw(number, rng, words(ITEMS), words(HOUSEHOLD))
        for _ in range(min(rng.choices([1, 2, 3, 4], weights=[40, 30, 20, 10])[0], ROWS[name] - count)):
            label = rng.choices(list(INTENTS), weights=list(INTENTS.values()))[0]
            mix = dataclasses.replace(MIX, order=ORDERS if POLICIES[label].get("need") == "order" else 0.0)
            if made := fresh(bank, label, customer, mix, seen):
                yield _row(name, made, customer, *STRETCH[name]), made, customer
                count += 1
        number += 1


def _row(name: str, message: Message, customer: Customer, start: datetime, end: datetime) -> Row:
    rng = customer.rng
    parts = reply(message, customer)
    about = {"group": customer.id, "timestamp": moment(start, end, rng), "source": message.source}
    if name == "conversations":
        turns = [{"role": "user", "content": message.text}, {"role": "assistant", "content": str(parts)}]
        return {"messages": turns, **about}
    flaw = rng.choice(FLAWS)
    bad = spoil(parts, message, flaw, rng)
    if name == "pairs":
        return {"prompt": message.text, "chosen": str(parts), "rejected": bad, **about, "fault": flaw}
    good = rng.random() < 0.5
    liked = good if rng.random() >= SLIPS else not good
    completion = str(parts) if good else bad
    return {"prompt": message.text, "completion": completion, "label": liked, **about, "fault": "" if good else flaw}


def main(argv: Iterable[str] | None = None) -> None:
    make(argv, __doc__, "replies", SEED, build, card)


if __name__ == "__main__":
    main()
