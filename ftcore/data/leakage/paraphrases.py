"""Paraphrases: rows that mean the same in other words, as far as an embedding can tell.

Off unless asked for, and a hint more than evidence: two different questions about one matter may lie closer together than two
wordings of one question. Look at the pairs before you act on them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import numpy as np

from ftcore.data.leakage.leaks import Chunk, Leak, Row
from ftcore.spec import LeakageSpec

PARAPHRASE = "paraphrase"
MIN_SIMILARITY = LeakageSpec().cosine
Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts -> [texts, dimensions]."""
_BLOCK, _CELLS = 2_000, 20_000_000
"""Train rows compared at once, and similarities held at once."""


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
        block = max(1, min(_BLOCK, _CELLS // len(self._test)))
        for start in range(0, len(chunk.rows), block):
            rows = chunk.rows[start : start + block]
            cosines = _unit(self._embed([row["text"] or "" for row in rows])) @ self._test.T
            for row, column in _linear(cosines >= self._min, cosines, self._told):
                self._told.add(column)
                yield Leak(
                    PARAPHRASE, column, chunk.start + start + row, round(min(1.0, float(cosines[row, column])), 4)
                )

    def finish(self) -> Iterable[Leak]:
        return ()


def _linear(near: np.ndarray, cosines: np.ndarray, told: Collection[int]) -> list[tuple[int, int]]:
    """Each near row with its best column, each near column that is not told yet with its best row: never all pairs."""
    rows = np.flatnonzero(near.any(axis=1))
    columns = [int(column) for column in np.flatnonzero(near.any(axis=0)) if column not in told]
    best = zip(rows.tolist(), cosines[rows].argmax(axis=1).tolist(), strict=True)
    others = zip(cosines[:, columns].argmax(axis=0).tolist(), columns, strict=True)
    return sorted({*best, *others})


def _unit(vectors: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return scaled
