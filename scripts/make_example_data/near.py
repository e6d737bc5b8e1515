"""Refuses a text that repeats, or nearly repeats, one that is already in the data set."""

from __future__ import annotations

from array import array

import numpy as np

from .grammar import normalise


class Seen:
    """Every accepted text; `admit` takes a new one only if it is far enough from all of them."""

    def __init__(self, limit: float = 0.7, size: int = 4) -> None:
        self.limit, self.size = limit, size
        self.exact: set[str] = set()
        self.sizes = array("l")
        self.where: dict[str, array[int]] = {}

    def admit(self, text: str) -> bool:
        norm = normalise(text)
        if not norm or norm in self.exact:
            return False
        grams = {norm[i : i + self.size] for i in range(max(1, len(norm) - self.size + 1))}
        if self._is_near(grams):
            return False
        number = len(self.sizes)
        self.exact.add(norm)
        self.sizes.append(len(grams))
        for gram in grams:
            self.where.setdefault(gram, array("l")).append(number)
        return True

    def _is_near(self, grams: set[str]) -> bool:
        """Whether the Jaccard similarity with any accepted text is above the limit."""
        places = [np.frombuffer(self.where[gram], dtype=np.int_) for gram in grams if gram in self.where]
        if not places:
            return False
        shared = np.bincount(np.concatenate(places), minlength=len(self.sizes))
        similarity = shared / (len(grams) + np.frombuffer(self.sizes, dtype=np.int_) - shared)
        return bool((similarity > self.limit).any())
