"""What teaches to copy: things said twice, and tables to look up.

Blocks of random tokens that repeat, known to bring induction heads about (Olsson et al. 2022), were tried beside the texts and
left out: a model this small got no better at copying words by them, and worse at everything else.
"""

from __future__ import annotations

import random
from collections.abc import Callable

KNOWN, HELD_OUT = "bdfgklmnprstvz", "hjwcq"
"""Consonants of made-up words: those of the training texts, and those that only the copying test has."""
SEPARATORS = (" ", ", ", "; ", "\n", " - ")


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
