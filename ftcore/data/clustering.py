"""Rows that are nearly the same, as clusters: what a split must not tear apart."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from ftcore.data.cleaning import normalise_for_match

LONG_WORDS = 15
SHORT_WORDS = 8
LONG_SIMILARITY = 0.8
SHORT_SIMILARITY = 0.9
"""Share of aligned words (2 * common / total) from which two rows are near-duplicates, by the words of the shorter one. Below
SHORT_WORDS only rows that are the same after normalising are: one other word there is another question."""
_GRAM = 3
_MAX_ROWS_PER_GRAM = 30


def clusters_of(num_rows: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Connected components: for each row the smallest row number it is linked with, over any number of steps."""
    root = list(range(num_rows))

    def find(row: int) -> int:
        while root[row] != row:
            root[row] = root[root[row]]
            row = root[row]
        return row

    for left, right in pairs:
        low, high = sorted((find(left), find(right)))
        root[high] = low
    return [find(row) for row in range(num_rows)]


def near_duplicate_pairs(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs that link near-duplicates; not every pair of a cluster is listed.

    Rows that share a run of three words are candidates, and word alignment (rapidfuzz) decides. Runs found in more than 30
    different rows are phrases, not copies, and make no candidates: time stays linear in rows. The order of rows does not matter.
    """
    from rapidfuzz.distance import Indel

    first: dict[str, int] = {}
    for number, text in enumerate(texts):
        same = first.setdefault(normalise_for_match(text), number)
        if same != number:
            yield same, number
    rows = [(number, text.split()) for text, number in first.items()]
    words = {number: split for number, split in rows if len(split) >= SHORT_WORDS}
    for left, right in sorted(_candidates(words)):
        shorter = min(len(words[left]), len(words[right]))
        wanted = LONG_SIMILARITY if shorter >= LONG_WORDS else SHORT_SIMILARITY
        if Indel.normalized_similarity(words[left], words[right], score_cutoff=wanted) >= wanted:
            yield left, right


def _candidates(words: dict[int, list[str]]) -> Iterable[tuple[int, int]]:
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, row in words.items():
        for gram in {tuple(row[start : start + _GRAM]) for start in range(len(row) - _GRAM + 1)}:
            if len(holders[gram]) <= _MAX_ROWS_PER_GRAM:
                holders[gram].append(number)
    shared: Counter[tuple[int, int]] = Counter()
    for members in holders.values():
        if 2 <= len(members) <= _MAX_ROWS_PER_GRAM:
            shared.update(combinations(sorted(members), 2))
    # Long rows that are alike share many runs; one shared phrase is not worth an alignment.
    return [pair for pair, count in shared.items() if count >= min(4, min(len(words[number]) for number in pair) // 6)]
