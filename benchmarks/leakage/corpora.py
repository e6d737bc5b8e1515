"""Backgrounds of real and random rows, and the leaks that are planted in them."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ftcore.data.cleaning import normalise_for_match

Texts = list[str]


@dataclass(frozen=True)
class Corpus:
    name: str
    train: Texts
    test: Texts
    foreign: Texts
    """Rows of another corpus: none of them can have a copy in `train`."""


def corpora(banking77: str | None) -> list[Corpus]:
    """Random words, the example data, and Banking77 if its folder is named."""
    shop_train, shop_test = example_rows()
    bank = banking_rows(Path(banking77)) if banking77 else None
    rng = random.Random(11)
    found = [Corpus("random words", random_rows(rng, 20_000, 12, 60), random_rows(rng, 2_000, 12, 60), shop_test)]
    found.append(Corpus("example data", shop_train, shop_test, bank[1] if bank else random_rows(rng, 2_000, 5, 40)))
    if bank:
        found.append(Corpus("Banking77", *bank, shop_test))
    return found


def random_rows(rng: random.Random, num: int, shortest: int, longest: int) -> Texts:
    """Rows of words drawn by Zipf's law."""
    words, weights = zipf_words()
    return [" ".join(rng.choices(words, cum_weights=weights, k=rng.randint(shortest, longest))) for _ in range(num)]


def zipf_words(num: int = 20_000) -> tuple[Texts, list[float]]:
    return [f"w{number}" for number in range(num)], list(itertools.accumulate(1 / (rank + 1) for rank in range(num)))


def banking_rows(folder: Path) -> tuple[Texts, Texts]:
    def read(name: str) -> Texts:
        with (folder / name).open(encoding="utf-8", newline="") as file:
            return [row["text"] for row in csv.DictReader(file)]

    return read("train.csv"), read("test.csv")


def example_rows() -> tuple[Texts, Texts]:
    """Train and test of the shipped example, made anew from its seed and split as the spec does."""
    from ftcore.data.reading import read_splits
    from ftcore.spec import DataSpec
    from scripts.make_example_data.__main__ import main

    with tempfile.TemporaryDirectory() as folder:
        with contextlib.redirect_stdout(io.StringIO()):
            main(["--out", folder])
        splits = read_splits(Path(folder), DataSpec(files={"any": ["messages.jsonl"]}))
    train, test = ([row["text"] for row in splits[name] if row["text"]] for name in ("train", "test"))
    return train, test


@dataclass(frozen=True)
class Planted:
    """One kind of leak: train rows with the planted ones among them, and the test rows that must be found."""

    kind: str
    train: Texts
    test: Texts


def plant(corpus: Corpus, seed: int, num: int = 1_000) -> Iterator[Planted]:
    """Every kind of leak in one corpus. Words are edited independently of each other: some copies have more edits than the
    rate, some fewer."""
    rng = random.Random(seed)
    vocabulary = [word for text in rng.sample(corpus.train, min(3_000, len(corpus.train))) for word in text.split()]
    train = corpus.train
    yield Planted("exact", train, _pick(rng, train, num, 1))
    yield Planted("normalised", train, [_respell(rng, text) for text in _pick(rng, train, num, 1)])
    for kind, rate, shortest in (("10% edited, >= 15 words", 0.1, 15), ("20% edited, >= 40 words", 0.2, 40)):
        yield Planted(kind, train, [edit(rng, text, rate, vocabulary) for text in _pick(rng, train, num, shortest)])
    filler = rng.sample(train, len(train))
    inside = _pick(rng, corpus.test, min(num, len(train) // 16, len(corpus.test)), 4)
    documents = [
        " ".join([*filler[at * 16 : at * 16 + 8], text, *filler[at * 16 + 8 : at * 16 + 16]])
        for at, text in enumerate(inside)
    ]
    yield Planted("in a long document", [*train, *documents], inside)


def edit(rng: random.Random, text: str, rate: float, vocabulary: Sequence[str]) -> str:
    """Each word is, with probability `rate`, replaced (twice as often), dropped, doubled by a new one, or swapped."""
    words: list[str] = []
    for word in text.split():
        kind = rng.choice(("replace", "replace", "drop", "insert", "swap")) if rng.random() < rate else "keep"
        if kind == "replace":
            words.append(rng.choice(vocabulary))
        elif kind == "insert":
            words += [word, rng.choice(vocabulary)]
        elif kind == "swap":
            words.insert(max(0, len(words) - 1), word)
        elif kind == "keep":
            words.append(word)
    return " ".join(words)


def _pick(rng: random.Random, texts: Texts, num: int, shortest: int) -> Texts:
    """`num` rows of at least so many words; each once if there are enough."""
    long = [text for text in dict.fromkeys(texts) if len(normalise_for_match(text).split()) >= shortest]
    return rng.sample(long, num) if len(long) >= num else rng.choices(long, k=num)


def _respell(rng: random.Random, text: str) -> str:
    """Another case, width, spacing or punctuation: the same words."""
    way = rng.randrange(4)
    if way == 0:
        return f"  {text.upper()} !"
    if way == 1:
        return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)
    if way == 2:
        return text.replace(" ", "  \u200b") + "..."
    return f'"{text.capitalize()}"'
