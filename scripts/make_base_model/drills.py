"""What teaches to copy: things said twice, tables to look up, sentences to tidy, and blocks of random tokens that repeat.

Random sequences that repeat can only be predicted by looking back (Olsson et al. 2022, "In-context learning and induction
heads"): a model this small finds that out late from ordinary text, and early from these.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

KNOWN, HELD_OUT = "bdfgklmnprstvz", "hjwcq"
"""Consonants of made-up words: those of the training texts, and those that only the copying test has."""
SEPARATORS = (" ", ", ", "; ", "\n", " - ")
FIRST_SPECIAL = 7


def nonsense(rng: random.Random, consonants: str = KNOWN) -> str:
    """A word that nobody knows: it can only be copied."""
    syllables = [rng.choice(consonants) + rng.choice("aeiou") for _ in range(rng.randrange(2, 4))]
    return "".join(syllables) + rng.choice(["", "n", "r", "s", "x"])


def number(rng: random.Random, length: int | None = None) -> str:
    """A number of so many digits; None: two to seven."""
    length = length or rng.randrange(2, 8)
    return str(rng.randrange(10 ** (length - 1), 10**length))


def thing(rng: random.Random, vocabulary: list[str]) -> str:
    kind = rng.random()
    return number(rng) if kind < 0.3 else nonsense(rng) if kind < 0.65 else rng.choice(vocabulary)


def echo(rng: random.Random, vocabulary: list[str]) -> tuple[str, str]:
    """A list to say again."""
    things = [thing(rng, vocabulary) for _ in range(rng.choice([2, 3, 5, 8, 12]))]
    text = rng.choice(SEPARATORS).join(things)
    return rng.choice(["Repeat: {}", "Copy: {}", "Say again: {}", "{}\nOnce more, please."]).format(text), text


def lookup(rng: random.Random, vocabulary: list[str]) -> tuple[str, str]:
    """A small table and a question about one of its rows."""
    keys = list(dict.fromkeys(thing(rng, vocabulary) for _ in range(rng.randrange(2, 7))))
    table = {key: thing(rng, vocabulary) for key in keys}
    asked = rng.choice(keys)
    between = rng.choice([": ", " = ", " is ", " -> "])
    rows = rng.choice(["\n", ", ", ". "]).join(f"{key}{between}{value}" for key, value in table.items())
    question = rng.choice(["What is {}?", "And {}?", "Look up {}.", "{}?"]).format(asked)
    return f"{rows}\n{question}", f"{asked}{between}{table[asked]}"


DRILLS: tuple[Callable[[random.Random, list[str]], tuple[str, str]], ...] = (echo, lookup)


def repeated_tokens(
    count: int, length: int, entries: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Blocks of random token sequences, each said two to four times, and their labels: int64 [count, length] both.

    The first time cannot be known and is not learned (label -100).
    """
    import torch

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high, (1,), generator=generator))

    blocks, labels = [], []
    for _ in range(count):
        block: list[int] = []
        learned: list[int] = []
        while len(block) < length:
            times = draw(2, 5)
            sequence = torch.randint(FIRST_SPECIAL, entries, (draw(4, 40),), generator=generator).tolist()
            block += sequence * times
            learned += [-100] * len(sequence) + sequence * (times - 1)
        blocks.append(block[:length])
        labels.append(learned[:length])
    return torch.tensor(blocks).view(-1, length), torch.tensor(labels).view(-1, length)
