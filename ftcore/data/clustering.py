"""Rows that are nearly the same, as clusters: what a split must not tear apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ftcore.data.cleaning import normalise_for_match


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
    """Pairs that link rows which the leakage rules `normalised`, `near_duplicate` and `contained` would link, so that none of
    them leaks afterwards; not every pair of a large cluster is listed. The order of rows does not matter.
    """
    from ftcore.data.leakage.near import NearIndex

    first: dict[str, int] = {}
    for number, text in enumerate(texts):
        same = first.setdefault(normalise_for_match(text), number)
        if same != number:
            yield same, number
    distinct = sorted(text for text in first if text)
    for match in NearIndex(distinct).search(distinct):
        if match.indexed != match.searched and match.phrase is None:
            yield first[distinct[match.indexed]], first[distinct[match.searched]]
