"""Refuses a text that repeats, or nearly repeats, one that is already in the data set."""

from __future__ import annotations

from collections import Counter

from .grammar import normalise


class Seen:
    """Every accepted text; `admit` takes a new one only if it is far enough from all of them."""

    def __init__(self, limit: float = 0.7, size: int = 4) -> None:
        self.limit, self.size = limit, size
        self.exact: set[str] = set()
        self.sizes: list[int] = []
        self.where: dict[str, list[int]] = {}

    def admit(self, text: str) -> bool:
        norm = normalise(text)
        if not norm or norm in self.exact:
            return False
        grams = {norm[i : i + self.size] for i in range(max(1, len(norm) - self.size + 1))}
        shared: Counter[int] = Counter()
        for gram in grams:
            shared.update(self.where.get(gram, ()))
        for other, count in shared.items():
            if count / (len(grams) + self.sizes[other] - count) > self.limit:
                return False
        number = len(self.sizes)
        self.exact.add(norm)
        self.sizes.append(len(grams))
        for gram in grams:
            self.where.setdefault(gram, []).append(number)
        return True
