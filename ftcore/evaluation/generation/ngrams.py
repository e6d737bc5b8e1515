"""How many n-grams two texts share, for many pairs of texts at once: sorted arrays in the place of a counter per text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ftcore.evaluation.rows import Ints

_BLOCK = 1 << 17  # letters or words of a block: a few megabytes
_MOST = 1 << 62


def letters(text: str) -> Ints:
    """Code points without white space."""
    kept = "".join(text.split()).encode("utf-32-le", "surrogatepass")
    return np.frombuffer(kept, dtype="<u4").astype(np.int64)


def codes_of(texts: Sequence[Sequence[str]], known: dict[str, int]) -> list[Ints]:
    """Words as numbers; `known` grows by the new ones."""
    return [np.array([known.setdefault(word, len(known)) for word in text], dtype=np.int64) for text in texts]


def shared_ngrams(wanted: Sequence[Ints], seen: Sequence[Ints], order: int) -> Ints:
    """Counts for n = 1 to `order`.

    Args:
        wanted: [rows] of codes: the references.
        seen: [rows] of codes: the answers.

    Returns:
        [rows, order, 3]: n-grams of the answer, of the reference, and those in both, each as often as both have it.
    """
    found = np.zeros((len(wanted), order, 3), dtype=np.int64)
    lengths = np.array([[len(text) for text in side] for side in (seen, wanted)], dtype=np.int64)
    for n in range(1, order + 1):
        found[:, n - 1, :2] = np.maximum(lengths - n + 1, 0).T
    for rows in _blocks(lengths.sum(axis=0)):
        found[rows, :, 2] = _shared([*wanted[rows], *seen[rows]], order)
    return found


def _blocks(sizes: Ints) -> Iterator[slice]:
    start = total = 0
    for row, size in enumerate(sizes.tolist()):
        if total and total + size > _BLOCK:
            yield slice(start, row)
            start, total = row, 0
        total += size
    if start < len(sizes):
        yield slice(start, len(sizes))


def _shared(texts: Sequence[Ints], order: int) -> Ints:
    """[rows, order]; the first half of `texts` are the references."""
    num_rows = len(texts) // 2
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    letter = np.unique(np.concatenate(texts), return_inverse=True)[1].astype(np.int64)
    num_letters = int(letter.max(initial=0)) + 1
    row = np.repeat(np.arange(2 * num_rows) % num_rows, lengths)
    is_wanted = np.repeat(np.arange(2 * num_rows) < num_rows, lengths)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(letter))  # letters from here to the end of the text
    shared = np.zeros((num_rows, order), dtype=np.int64)
    start: Ints = np.arange(len(letter))
    gram, num_grams = letter, num_letters
    for n in range(1, order + 1):
        if n > 1:
            goes_on = left[start] >= n
            start, gram = start[goes_on], gram[goes_on]
            if num_grams * num_letters * num_rows >= _MOST:
                gram = np.unique(gram, return_inverse=True)[1].astype(np.int64)
                num_grams = int(gram.max(initial=0)) + 1
            gram, num_grams = gram * num_letters + letter[start + n - 1], num_grams * num_letters
        key = row[start] * num_grams + gram
        ours, of_ours = np.unique(key[is_wanted[start]], return_counts=True)
        theirs, of_theirs = np.unique(key[~is_wanted[start]], return_counts=True)
        place: Ints = np.asarray(np.searchsorted(theirs, ours))
        same = np.flatnonzero(np.append(theirs, -1)[place] == ours)
        both = np.minimum(of_ours[same], of_theirs[place[same]])
        shared[:, n - 1] = np.bincount(ours[same] // num_grams, weights=both, minlength=num_rows)
    return shared
