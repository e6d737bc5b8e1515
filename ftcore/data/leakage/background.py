"""How similar rows of one corpus are by nature.

Two messages to a bank about the same matter agree in half of their words; two tickets filled in from one form in nine tenths.
Comparing the test rows with each other shows which it is: nobody copied those from training, and what they share is the
corpus's own habit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from ftcore.data.cleaning import match_keys
from ftcore.data.leakage.index import Boilerplate, GramIndex
from ftcore.data.leakage.leaks import Row
from ftcore.data.leakage.near import LONG_WORDS, SIMILARITY
from ftcore.data.leakage.words import Vocabulary, split_words

MAX_SIMILARITY = 0.9
"""Never advise more than this: more similar rows are copies even where every row comes from one form."""
_BACKGROUND_SHARE = 0.15
_MIN_ROWS = 50
_MOST, _MIN_SHARED = 8, 0.1


@dataclass(frozen=True)
class Background:
    """Similarity of every row of LONG_WORDS and more to its most similar other row, sorted. 0 where no row comes near."""

    nearest: np.ndarray

    def share(self, similarity: float) -> float:
        """Share of the rows that have another row at least so similar; 0 without rows."""
        return float((self.nearest >= similarity).mean()) if len(self.nearest) else 0.0

    def curve(self, steps: Sequence[float] = (0.5, 0.6, 0.66, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)) -> dict[float, float]:
        """Similarity -> share."""
        return {step: round(self.share(step), 4) for step in steps}


def nearest_similarity(rows: Sequence[str], others: Sequence[str] | None = None) -> Background:
    """Compare `rows` (normalised, each once) with `others`, or with each other.

    Only rows of LONG_WORDS and more are looked at. Rows that share too few runs of words to be candidates count as 0.
    """
    words = [split_words(text) for text in rows]
    with_others = others is not None
    more = [split_words(text) for text in others or ()]
    boilerplate = Boilerplate([*rows, *(others or ())])
    words = [list(boilerplate.strip(row)) for row in words]
    words = [row for row in words if len(row) >= LONG_WORDS]
    searched = [list(boilerplate.strip(row)) for row in more] if with_others else words
    vocabulary = Vocabulary(words)
    indexed, encoded = vocabulary.encode(words), vocabulary.encode(searched)
    pairs = GramIndex(indexed).candidates(encoded, _MIN_SHARED, _MOST)
    kept = slice(None) if with_others else pairs.rows != pairs.indexed
    left, right = pairs.indexed[kept], pairs.rows[kept]
    scores = process.cpdist(
        [indexed.as_text(int(row)) for row in left],
        [encoded.as_text(int(row)) for row in right],
        scorer=Levenshtein.normalized_similarity,
        workers=-1,
    )
    nearest = np.zeros(len(words))
    np.maximum.at(nearest, left, scores)
    return Background(np.sort(nearest))


def similarity_hint(test: Sequence[Row], similarity: float) -> str | None:
    """What to tell somebody who judges with `similarity`; None: it is fine."""
    advised = advised_similarity(test)
    if advised is None or advised <= similarity:
        return None
    return f"Many test rows resemble each other by nature; `--similarity {advised}` tells copies from habit better."


def advised_similarity(test: Sequence[Row]) -> float | None:
    """A better `similarity` than the default for corpora whose rows are alike by nature (forms, templates); None: none needed.

    Asked where more than 15 % of the test rows of LONG_WORDS have another test row that similar. Advice only: a test set that
    holds copies of its own rows looks the same, and raising the threshold for it would let leaks through.
    """
    background = nearest_similarity(list(dict.fromkeys(key for key in match_keys(test) if key)))
    if len(background.nearest) < _MIN_ROWS or background.share(SIMILARITY) <= _BACKGROUND_SHARE:
        return None
    limit = float(np.quantile(background.nearest, 1.0 - _BACKGROUND_SHARE))
    return round(min(MAX_SIMILARITY, max(SIMILARITY, limit)), 2)
