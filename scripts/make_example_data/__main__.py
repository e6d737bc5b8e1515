"""`python -m scripts.make_example_data --out data`: writes the example data set, the same bytes every time."""

from __future__ import annotations

from collections.abc import Iterable

from .card import card
from .compose import Mix, load
from .faults import dirty_rows
from .near import Seen
from .waves import NEW_WEIGHTS, WEIGHTS, Row, Wave, day, generate
from .words import HOUSEHOLD, ITEMS, ROBOT_EXTRAS, ROBOT_ITEMS, words
from .writing import make

SEED = 20260101
ROWS = {"messages": 4500, "traffic": 1500, "wave2": 2400}
WAVE_ONE = ("delivery.yaml", "money.yaml", "account.yaml", "product.yaml", "ambiguous.yaml", "frames.yaml")


def build(seed: int) -> dict[str, list[Row]]:
    """Every file of the data set, by name."""
    old = load(*WAVE_ONE)
    new = load("robots.yaml", "frames.yaml")
    new.aside.update({intent: new.aside.get(intent) or lines for intent, lines in old.aside.items()})
    goods, extras = tuple(words(ITEMS)), tuple(words(HOUSEHOLD))
    robots, parts = tuple(words(ROBOT_ITEMS)), tuple(words(ROBOT_EXTRAS))
    share = sum(WEIGHTS.values()) / sum(NEW_WEIGHTS.values())
    wave_two = (
        (old, {label: weight * 0.22 for label, weight in WEIGHTS.items()}),
        (
            new,
            {label: weight * 0.38 for label, weight in WEIGHTS.items()}
            | {k: v * 0.40 * share for k, v in NEW_WEIGHTS.items()},
        ),
    )
    seen = Seen()
    first = ((old, {label: float(weight) for label, weight in WEIGHTS.items()}),)
    waves = [
        Wave("messages", "m", ROWS["messages"], 1, day(2026, 1, 1), day(2026, 7, 1), goods, extras, first),
        Wave("traffic", "t", ROWS["traffic"], 3001, day(2026, 7, 1), day(2026, 8, 1), goods, extras, first),
        Wave(
            "wave2",
            "w",
            ROWS["wave2"],
            6001,
            day(2026, 8, 1),
            day(2026, 9, 1),
            robots,
            parts,
            wave_two,
            Mix(either=0.02),
        ),
    ]
    files = {wave.name: generate(wave, seed, seen) for wave in waves}
    files["dirty"] = dirty_rows(files["messages"], seed)
    return files


def main(argv: Iterable[str] | None = None) -> None:
    make(argv, __doc__, "data", SEED, build, card)


if __name__ == "__main__":
    main()
