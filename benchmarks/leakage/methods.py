"""The leakage checks side by side: each takes train and test texts and returns the test rows that it flags."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from datasketch import MinHash, MinHashLSH

from ftcore.data.cleaning import normalise_for_match
from ftcore.data.leakage import TEXT_RULES, find_leaks, leaked_rows

Texts = Sequence[str]


def ftcore(train: Texts, test: Texts) -> set[int]:
    rows = ([{"text": text} for text in side] for side in (train, test))
    return leaked_rows(find_leaks(*rows, TEXT_RULES))


def exact(train: Texts, test: Texts) -> set[int]:
    known = set(train)
    return {number for number, text in enumerate(test) if text in known}


def minhash(train: Texts, test: Texts) -> set[int]:
    """datasketch as its documentation has it: LSH over word 3-gram sets at Jaccard >= 0.7, 128 permutations. The smaller side
    is indexed."""
    index = MinHashLSH(threshold=0.7, num_perm=128)
    hashes = MinHash.bulk((_shingles(text) for text in test), num_perm=128)
    for number, value in enumerate(hashes):
        index.insert(number, value)
    flagged: set[int] = set()
    for value in MinHash.generator((_shingles(text) for text in train), num_perm=128):
        flagged.update(number for number in index.query(value) if hashes[number].jaccard(value) >= 0.7)
    return flagged


def thirteen_gram(train: Texts, test: Texts) -> set[int]:
    """Any 13 words in a row in common, as in GPT-3's decontamination."""
    owners: dict[tuple[str, ...], set[int]] = {}
    for number, text in enumerate(test):
        for gram in _grams(text, 13):
            owners.setdefault(gram, set()).add(number)
    flagged: set[int] = set()
    for text in train:
        for gram in _grams(text, 13):
            flagged |= owners.get(gram, set())
    return flagged


METHODS: dict[str, Callable[[Texts, Texts], set[int]]] = {
    "ftcore": ftcore,
    "exact": exact,
    "MinHash J>=.7": minhash,
    "any 13-gram": thirteen_gram,
}


def _grams(text: str, size: int) -> list[tuple[str, ...]]:
    words = normalise_for_match(text).split()
    return [tuple(words[at : at + size]) for at in range(len(words) - size + 1)]


def _shingles(text: str) -> list[bytes]:
    words = normalise_for_match(text).split()
    return [" ".join(words[at : at + 3]).encode() for at in range(max(1, len(words) - 2))]
