"""Near-duplicates: pairs proposed by shared runs of three words, decided by aligning their words.

What decides depends on length, because on short rows one word is a different question ("Why has my card payment been reverted
/ reversed?"), while long rows that agree in two thirds of their words, in order, are copies:

- up to 11 words: the same words in another order, or set apart differently ("top up", "topup");
- 12 to 14 words: one word edited;
- 15 words and more: token-level Levenshtein similarity (1 - edits / words of the longer row) of `similarity` and more.

A row inside a longer one is found by the best window of the longer row (rapidfuzz's partial ratio), a shared passage of 13
words in a row by its hash, as in GPT-3's decontamination (Brown et al. 2020, appendix C).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rapidfuzz import fuzz, process
from rapidfuzz.distance import Levenshtein

from ftcore.data.leakage.index import Boilerplate, Candidates, GramIndex
from ftcore.data.leakage.words import Encoded, Vocabulary, split_words
from ftcore.spec import LeakageSpec

NEAR, CONTAINED, PASSAGE = "near_duplicate", "contained", "ngram13"
SIMILARITY = LeakageSpec().similarity
"""Allows 5 edits in 15 words: of copies with one word in ten edited at random, 1 in 300 has more.

On Banking77 one in eleven long test rows reaches it by nature (`python -m benchmarks.leakage --only own` prints the
curve), and nearly all of those are rewordings of a train row."""
LONG_WORDS, MEDIUM_WORDS = 15, 12
_ONE_EDIT = 0.91
_LONGER = 1.3
"""A row is looked for inside another only if that has so many times its words; below, edit distance sees the pair."""
_WINDOW = 0.9
"""Partial ratio that a row of LONG_WORDS needs; shorter ones must be there word for word."""
_DOCUMENT_WORDS, _SENTENCE_WORDS = 40, 4
"""A row under MEDIUM_WORDS counts as copied into a longer one only if that is a document and the row a sentence."""
PASSAGE_WORDS = 13
COMMON = {CONTAINED: 10, PASSAGE: 20}
"""A sentence that lies in more documents than this is a figure of speech, a passage in more rows a signature or a disclaimer."""
_PASSAGE_ROW_WORDS = 50
"""Both rows of a shared passage: in shorter ones edit distance and windows say more, and stock sentences reach 13 words."""
_BLOCK = 5_000
_MOST = 24
_MIN_SHARED = 0.1
_partial_ratio = fuzz.partial_ratio


@dataclass(frozen=True)
class Match:
    """One verified pair: row numbers of either side."""

    rule: str
    indexed: int
    searched: int
    score: float
    phrase: int | None = None
    """Names the passage or sentence that the rows share; one that more than COMMON[rule] searched rows hold says nothing."""


class NearIndex:
    """Finds rows like those of one side (the smaller one: it is held in memory). Rows are given as normalised texts."""

    def __init__(self, indexed: Sequence[str], sample: Sequence[str] = (), similarity: float = SIMILARITY) -> None:
        """
        Args:
            indexed: Normalised texts, each once.
            sample: Normalised texts of the other side, to tell templates by.
            similarity: What rows of LONG_WORDS need, 0 to 1.
        """
        rows = [split_words(text) for text in indexed]
        self._similarity = similarity
        self._boilerplate = Boilerplate([*indexed, *sample])
        rows = [list(self._boilerplate.strip(row)) for row in rows]
        self._vocabulary = Vocabulary(rows)
        self._rows = self._vocabulary.encode(rows)
        self._texts = [self._rows.as_text(number) for number in range(len(rows))]
        self._grams = GramIndex(self._rows)
        self._same_words: dict[str, list[int]] = defaultdict(list)
        for number, row in enumerate(rows):
            for key in _loose_keys(row):
                self._same_words[key].append(number)
        self._passages = _Passages(self._rows)

    @property
    def similarity(self) -> float:
        """What rows of LONG_WORDS need."""
        return self._similarity

    def search(self, texts: Sequence[str], start: int = 0) -> Iterator[Match]:
        """Verified pairs between `texts` (normalised) and the indexed rows. A pair with a `phrase` counts only if that is rare.

        Of many pairs of one row only the likeliest are looked at, so that the answer stays linear in the number of rows; every
        row that has a pair at all is in one, unless a few dozen likelier candidates fail.

        Args:
            start: Number of the first text.
        """
        for first in range(0, len(texts), _BLOCK):
            yield from self._search_block(texts[first : first + _BLOCK], start + first)

    def _search_block(self, texts: Sequence[str], start: int) -> Iterator[Match]:
        rows = [self._boilerplate.strip(split_words(text)) for text in texts]
        encoded = self._vocabulary.encode(rows)
        yield from self._reordered(rows, start)
        pairs = self._grams.candidates(encoded, _MIN_SHARED, _MOST)
        yield from self._verified(encoded, pairs, start)
        yield from self._passages.search(encoded, start)

    def _reordered(self, rows: Sequence[Sequence[str]], start: int) -> Iterator[Match]:
        for number, row in enumerate(rows):
            for key in _loose_keys(row):
                for other in self._same_words.get(key, ())[:_MOST]:
                    yield Match(NEAR, other, start + number, 1.0)

    def _verified(self, encoded: Encoded, pairs: Candidates, start: int) -> Iterator[Match]:
        lengths, others = encoded.lengths[pairs.rows], self._rows.lengths[pairs.indexed]
        longer, shorter = np.maximum(lengths, others), np.minimum(lengths, others)
        needed = np.where(longer >= LONG_WORDS, self._similarity, max(_ONE_EDIT, self._similarity))
        whole = (longer >= MEDIUM_WORDS) & (shorter >= needed * longer)
        for at, score in self._scores(Levenshtein.normalized_similarity, encoded, pairs, whole, needed):
            yield Match(NEAR, int(pairs.indexed[at]), start + int(pairs.rows[at]), score)
        sentence = (shorter < MEDIUM_WORDS) & (shorter >= _SENTENCE_WORDS) & (longer >= _DOCUMENT_WORDS)
        inside = (longer >= _LONGER * shorter) & ((shorter >= MEDIUM_WORDS) | (sentence & (others < lengths)))
        window = np.where(shorter >= LONG_WORDS, _WINDOW, 1.0)
        for at, score in self._scores(_partial_ratio, encoded, pairs, inside, window):
            indexed = int(pairs.indexed[at])
            phrase = indexed if sentence[at] else None
            yield Match(CONTAINED, indexed, start + int(pairs.rows[at]), score, phrase)

    def _scores(
        self, scorer: Any, encoded: Encoded, pairs: Candidates, asked: np.ndarray, needed: np.ndarray
    ) -> Iterator[tuple[int, float]]:
        """(position, score) of the pairs out of `asked` whose score reaches `needed`."""
        numbers = np.flatnonzero(asked)
        texts = {row: encoded.as_text(row) for row in map(int, np.unique(pairs.rows[numbers]))}
        left = [texts[int(row)] for row in pairs.rows[numbers]]
        right = [self._texts[int(row)] for row in pairs.indexed[numbers]]
        scores = process.cpdist(left, right, scorer=scorer, workers=-1)
        scores = scores / 100.0 if scorer is _partial_ratio else scores
        for at in np.flatnonzero(scores >= needed[numbers] - 1e-6):
            yield int(numbers[at]), round(float(scores[at]), 4)


class _Passages:
    """Runs of PASSAGE_WORDS words of the indexed rows."""

    def __init__(self, indexed: Encoded) -> None:
        rows, codes = _long_passages(indexed)
        order = np.argsort(codes, kind="stable")
        self._codes, self._owners = codes[order], rows[order]

    def search(self, encoded: Encoded, start: int) -> Iterator[Match]:
        if not len(self._codes):
            return
        rows, codes = _long_passages(encoded)
        first = np.searchsorted(self._codes, codes)
        end = np.searchsorted(self._codes, codes, side="right")
        for position in np.flatnonzero(first < end):
            for owner in self._owners[first[position] : min(end[position], first[position] + COMMON[PASSAGE] + 1)]:
                yield Match(PASSAGE, int(owner), start + int(rows[position]), 1.0, int(codes[position]))


def _long_passages(rows: Encoded) -> tuple[np.ndarray, np.ndarray]:
    numbers, codes = rows.grams(PASSAGE_WORDS)
    long = rows.lengths[numbers] >= _PASSAGE_ROW_WORDS
    return numbers[long], codes[long]


def _loose_keys(row: Sequence[str]) -> Iterable[str]:
    """Equal for short rows of the same words in another order, or with other gaps between them."""
    if 3 <= len(row) < LONG_WORDS:
        yield " ".join(sorted(row))
    if 2 <= len(row) < LONG_WORDS:
        yield "".join(row)
