"""Candidates: pairs of rows that share rare runs of three words, found through an inverted index over the smaller side.

Runs that very many rows share say nothing about any pair: those of prompt templates are taken out of the rows first
(`Boilerplate`), and for the rest a posting list is cut off at MAX_POSTINGS.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ftcore.data.leakage.words import Encoded, split_words

GRAM = 3
MAX_POSTINGS = 400
"""Rows of the indexed side that may share a run before it stops proposing pairs: that keeps time linear in either side."""
_TEMPLATE_RUN, _TEMPLATE_SHARE, _TEMPLATE_ROWS, _TEMPLATE_SAMPLE = 6, 0.1, 20, 4_000


class Boilerplate:
    """Words that belong to a template: runs of six that at least 10 % of the rows (and 20 of them) share."""

    def __init__(self, texts: Sequence[str]) -> None:
        """
        Args:
            texts: Normalised; several thousand of them, evenly spread, are looked at.
        """
        sample = [split_words(text) for text in texts[:: max(1, len(texts) // _TEMPLATE_SAMPLE)]]
        counts: Counter[tuple[str, ...]] = Counter()
        for row in sample:
            counts.update({tuple(row[at : at + _TEMPLATE_RUN]) for at in range(len(row) - _TEMPLATE_RUN + 1)})
        floor = max(_TEMPLATE_ROWS, _TEMPLATE_SHARE * len(sample))
        self._runs = {run for run, count in counts.items() if count >= floor}

    def strip(self, row: Sequence[str]) -> Sequence[str]:
        """The row without its template; the row itself if nothing else were left."""
        if not self._runs:
            return row
        covered = bytearray(len(row))
        for at in range(len(row) - _TEMPLATE_RUN + 1):
            if tuple(row[at : at + _TEMPLATE_RUN]) in self._runs:
                covered[at : at + _TEMPLATE_RUN] = b"\1" * _TEMPLATE_RUN
        return [word for word, hit in zip(row, covered, strict=True) if not hit] or row


@dataclass(frozen=True)
class Candidates:
    """Pairs worth a closer look, as parallel arrays."""

    rows: np.ndarray
    """Row of the searched side."""
    indexed: np.ndarray
    """Row of the indexed side."""

    def __len__(self) -> int:
        return len(self.rows)


class GramIndex:
    """Inverted index: run of three words -> rows of one side."""

    def __init__(self, indexed: Encoded) -> None:
        rows, codes = indexed.grams(GRAM)
        self._codes, numbers = np.unique(codes, return_inverse=True)
        pairs = np.unique(numbers * np.int64(len(indexed)) + rows)
        numbers, rows = np.divmod(pairs, max(1, len(indexed)))
        counts = np.bincount(numbers, minlength=len(self._codes))
        kept = counts[numbers] <= MAX_POSTINGS
        shape = (len(self._codes), len(indexed))
        self._postings = sparse.csr_matrix(
            (np.ones(int(kept.sum()), np.int32), (numbers[kept], rows[kept])), shape=shape
        )
        self._num_grams = np.maximum(indexed.lengths - GRAM + 1, 1)

    def candidates(self, searched: Encoded, min_shared: float, most: int) -> Candidates:
        """Pairs that share at least `min_shared` of the runs of the shorter row: for every row of either side the `most` best."""
        rows, codes = searched.grams(GRAM)
        if not len(codes) or not len(self._codes):
            return Candidates(np.empty(0, np.int64), np.empty(0, np.int64))
        at = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
        there = self._codes[at] == codes
        keys = np.unique(rows[there] * np.int64(len(self._codes)) + at[there])
        rows, grams = np.divmod(keys, len(self._codes))
        ones = np.ones(len(rows), np.int32)
        seen = sparse.csr_matrix((ones, (rows, grams)), shape=(len(searched), len(self._codes)))
        shared = (seen @ self._postings).tocoo()
        lengths = np.maximum(searched.lengths - GRAM + 1, 1)
        part = shared.data / np.minimum(lengths[shared.row], self._num_grams[shared.col])
        enough = part >= min_shared
        row, column, part = shared.row[enough], shared.col[enough], part[enough]
        kept = _best(row, part, most) | _best(column, part, most)
        return Candidates(row[kept].astype(np.int64), column[kept].astype(np.int64))


def _best(owner: np.ndarray, score: np.ndarray, most: int) -> np.ndarray:
    """Mask of the `most` highest scores of every owner."""
    mask = np.zeros(len(owner), bool)
    if not len(owner):
        return mask
    order = np.lexsort((-score, owner))
    first = np.flatnonzero(np.concatenate(([True], np.diff(owner[order]) != 0)))
    rank = np.arange(len(order)) - np.repeat(first, np.diff(np.concatenate((first, [len(order)]))))
    mask[order[rank < most]] = True
    return mask
