"""Texts as words, and words as characters: what the similarity rules compare.

A row becomes a string with one character per word, so that rapidfuzz's compiled edit distances count words, not letters.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

UNKNOWN = "\0"
"""Stands for a word that the indexed side does not have; it equals no character there."""

# Scripts written without spaces: every character counts as a word, or a whole message would be one.
_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0002ffff])"
)
_FIRST, _LAST = 1, 0x10FFFF


def split_words(normalised: str) -> list[str]:
    """Words of a text that `normalise_for_match` has been over."""
    return normalised.split() if normalised.isascii() else _UNSPACED.sub(r" \1 ", normalised).split()


class Vocabulary:
    """Numbers the words of one side from 1; 0 is every other word."""

    def __init__(self, rows: Iterable[Sequence[str]]) -> None:
        numbers: dict[str, int] = {}
        for row in rows:
            for word in row:
                numbers.setdefault(word, len(numbers) + 1)
        self._numbers = numbers

    def encode(self, rows: Sequence[Sequence[str]]) -> Encoded:
        """The rows under this vocabulary."""
        lengths = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
        get = self._numbers.get
        numbers = map(get, itertools.chain.from_iterable(rows), itertools.repeat(0))
        flat = np.fromiter(numbers, dtype=np.int64, count=int(lengths.sum()))
        return Encoded(flat, np.concatenate(([0], np.cumsum(lengths))))


@dataclass(frozen=True)
class Encoded:
    """Rows as word numbers, end to end. Row r is `words[offsets[r]:offsets[r + 1]]`."""

    words: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Words per row."""
        return np.diff(self.offsets)

    def row(self, number: int) -> np.ndarray:
        return self.words[self.offsets[number] : self.offsets[number + 1]]

    def as_text(self, number: int) -> str:
        """One character per word; UNKNOWN for number 0. Beyond Unicode's million characters words share one."""
        codes = self.row(number)
        if len(codes) and codes.max() > _LAST:
            codes = np.where(codes > _LAST, codes % _LAST + _FIRST, codes)
        return codes.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")

    def grams(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """(row, hash) of every run of `size` known words, in order, repeats included. 64-bit hashes: among a billion runs about
        one pair in forty collides, and what they propose is verified word by word."""
        if len(self.words) < size:
            return np.empty(0, np.int64), np.empty(0, np.uint64)
        count = len(self.words) - size + 1
        rows = np.repeat(np.arange(len(self)), self.lengths)
        whole = rows[:count] == rows[size - 1 :]  # the run lies within one row
        known = np.concatenate(([0], np.cumsum(self.words == 0)))
        whole &= known[size:] == known[:count]
        starts = np.flatnonzero(whole)
        codes = np.zeros(len(starts), np.uint64)
        with np.errstate(over="ignore"):
            for step in range(size):
                codes = (codes ^ self.words[starts + step].astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
                codes ^= codes >> np.uint64(29)
        return rows[starts], codes
