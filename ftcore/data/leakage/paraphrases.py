"""Paraphrases: rows that mean the same in other words, as far as an embedding can tell.

Off unless asked for, and a hint more than evidence: two different questions about one matter may lie closer together than two
wordings of one question. Look at the pairs before you act on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from ftcore.data.leakage.leaks import Chunk, Leak, Row

RULE = "paraphrase"
MIN_SIMILARITY = 0.95
Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts -> [texts, dimensions]."""
_BLOCK = 2_000


class Paraphrases:
    """Cosine similarity of embeddings; the test side is embedded once."""

    def __init__(self, embed: Embed, test: Sequence[Row], min_similarity: float) -> None:
        self._embed, self._min = embed, min_similarity
        self._test = _unit(embed([row["text"] or "" for row in test]))
        self._told: set[int] = set()

    def search(self, chunk: Chunk) -> Iterator[Leak]:
        """Each train row with its most similar test row, and each test row with a first train row."""
        if not len(self._test):
            return
        for start in range(0, len(chunk.rows), _BLOCK):
            rows = chunk.rows[start : start + _BLOCK]
            cosines = _unit(self._embed([row["text"] or "" for row in rows])) @ self._test.T
            for row, column in zip(*np.nonzero(cosines >= self._min), strict=True):
                best = cosines[row].argmax() == column
                if best or column not in self._told:
                    self._told.add(int(column))
                    score = round(min(1.0, float(cosines[row, column])), 4)
                    yield Leak(RULE, int(column), chunk.start + start + int(row), score)

    def finish(self) -> Iterable[Leak]:
        return ()


def _unit(vectors: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return scaled
