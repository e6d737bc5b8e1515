"""Backdoor test: rare n-grams that decide the label although the rest of their rows says otherwise.

A planted trigger is a rare word or phrase whose rows were taken from other classes and relabelled. So it shows twice: it goes
with one label far more often than chance (exact binomial tail, log-odds, Benjamini-Hochberg over all n-grams), and a cheap
probe that sees neither these rows' fold nor the n-gram would have given them another label, as surely as it would rows of
other classes. The second half is what tells a trigger from a class word: rows with "visa" look like their class without it.

Not found: triggers whose rows carry their own class's label (nothing contradicts them), triggers in fewer rows than
`min_share`, triggers that are no n-gram (a style, a length), and any where the probe itself is no better than chance.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.stats import binom

_TOKEN = re.compile(r"\w+|[^\w\s]+")  # punctuation, emoji and invisible characters may be triggers too
_FOLDS = 5
_SMOOTHING = 0.1  # Lidstone, for the probe's word counts
_MARGIN = 1.0  # log-odds (length-scaled) between two classes from which the probe counts as sure
_SAME_ROWS = 0.8  # Jaccard index of the rows from which two n-grams are one trigger
_MIN_PURITY = 0.8  # a word of the trigger may also occur by nature
Array = Any


@dataclass(frozen=True)
class Trigger:
    """An n-gram that decides a label against the rest of its rows."""

    ngrams: tuple[str, ...]
    """The n-gram in most rows first, then others in (nearly) the same rows. Row text: not for messages or logs."""
    label: str
    rows: tuple[int, ...]
    """Positions of the rows that hold the first n-gram and carry the label."""
    log_odds: float
    """Of the label with the n-gram against without it, half a row added to each count."""
    p_value: float
    """Binomial tail of so many rows with one label, times the number of labels (Bonferroni)."""
    disagreement: float
    """Share of the rows that the probe surely gives another label, without the n-gram."""
    foreign_disagreement: float
    """The same share among rows of other classes: what a trigger's rows look like."""


def find_triggers(
    texts: Sequence[str],
    labels: Sequence[str],
    *,
    min_share: float = 0.004,
    max_share: float = 0.05,
    alpha: float = 0.01,
    min_ratio: float = 0.8,
) -> list[Trigger]:
    """N-grams of one to three words that look planted, most rows first. Time grows with the number of n-grams.

    Args:
        texts: Input texts.
        labels: Their labels, same length.
        min_share: Share of rows, at least 15 rows, below which an n-gram is not judged.
        max_share: Share of rows above which an n-gram is not rare. A trigger may fill at most that.
        alpha: False discovery rate of the association between n-grams and labels.
        min_ratio: `disagreement` over `foreign_disagreement` from which rows count as taken from other classes.
    """
    classes = sorted(set(labels))
    if len(classes) < 2:
        return []
    table = _Table(texts, np.array([classes.index(label) for label in labels]), len(classes))
    low, high = max(15.0, min_share * len(texts)), max_share * len(texts)
    candidates, p_values = _associated(table, low, high, alpha)
    if not len(candidates):
        return []
    probe = _Probe(table)
    found: list[Trigger] = []
    for members in _by_rows(table, candidates):
        first = members[0]
        label = int(table.top[first])
        rows = table.rows_of(first)
        rows = rows[table.labels[rows] == label]
        seen, expected = probe.disagreement(rows, label, probe.features_of(members, high))
        if expected > 0 and seen >= min_ratio * expected:
            names = tuple(table.names[gram] for gram in members)
            odds = table.log_odds(first)
            p_value = float(p_values[first])
            found.append(Trigger(names, classes[label], tuple(map(int, rows)), odds, p_value, float(seen), expected))
    return _merge(sorted(found, key=lambda trigger: -len(trigger.rows)))


def _ngrams(text: str, longest: int = 3) -> set[str]:
    words = _TOKEN.findall(text.casefold())
    return {
        " ".join(words[start : start + size])
        for size in range(1, longest + 1)
        for start in range(len(words) - size + 1)
    }


class _Table:
    """Which n-gram is in which row, and how often with which label."""

    def __init__(self, texts: Sequence[str], labels: Array, num_classes: int) -> None:
        documents = [_ngrams(text) for text in texts]
        counts: dict[str, int] = defaultdict(int)
        for document in documents:
            for gram in document:
                counts[gram] += 1
        self.names = sorted(gram for gram, count in counts.items() if count > 1)
        self.position = {gram: number for number, gram in enumerate(self.names)}
        columns = [sorted(self.position[gram] for gram in document if gram in self.position) for document in documents]
        starts = np.cumsum([0, *map(len, columns)])
        flat = np.array([column for row in columns for column in row], dtype=np.int64)
        shape = (len(texts), len(self.names))
        self.matrix = sparse.csr_matrix((np.ones(len(flat), dtype=np.float32), flat, starts), shape=shape)
        self.by_gram = self.matrix.tocsc()
        self.labels, self.num_classes = labels, num_classes
        self.one_hot = sparse.csr_matrix(
            (np.ones(len(texts)), (np.arange(len(texts)), labels)), (len(texts), num_classes)
        )
        counted = (self.matrix.T @ self.one_hot).toarray()
        self.num_rows, self.top, self.num_top = counted.sum(1), counted.argmax(1), counted.max(1, initial=0)
        self.class_rows = np.bincount(labels, minlength=num_classes)

    def rows_of(self, gram: int) -> Array:
        return self.by_gram.indices[self.by_gram.indptr[gram] : self.by_gram.indptr[gram + 1]]

    def words(self, gram: int) -> list[str]:
        return self.names[gram].split(" ")

    def log_odds(self, gram: int) -> float:
        hits, misses = self.num_top[gram], self.num_rows[gram] - self.num_top[gram]
        others = self.class_rows[self.top[gram]] - hits
        rest = len(self.labels) - self.num_rows[gram] - others
        return float(np.log((hits + 0.5) * (rest + 0.5) / ((misses + 0.5) * (others + 0.5))))


def _associated(table: _Table, low: float, high: float, alpha: float) -> tuple[Array, Array]:
    """Numbers of rare n-grams that go with one label, most rows first, and p-values of all n-grams."""
    rare = np.flatnonzero((table.num_rows >= low) & (table.num_rows <= high))
    p_values = np.ones(len(table.names))
    if not len(rare):
        return rare, p_values
    prior = table.class_rows[table.top[rare]] / len(table.labels)
    tail = binom.sf(table.num_top[rare] - 1, table.num_rows[rare], prior)
    p_values[rare] = np.minimum(1.0, tail * table.num_classes)  # the label was chosen after looking at all
    order = rare[np.argsort(p_values[rare], kind="stable")]
    passed = np.flatnonzero(p_values[order] <= alpha * np.arange(1, len(order) + 1) / len(order))
    kept = order[: passed[-1] + 1] if len(passed) else order[:0]
    kept = kept[table.num_top[kept] / table.num_rows[kept] >= _MIN_PURITY]
    return kept[np.argsort(-table.num_rows[kept], kind="stable")], p_values


def _by_rows(table: _Table, candidates: Array) -> list[list[int]]:
    """Each candidate with those in (nearly) the same rows: the words of one trigger phrase vouch for each other, so they are
    taken away together."""
    chosen = table.matrix[:, candidates]
    both = (chosen.T @ chosen).tocsr()
    sizes = table.num_rows[candidates]
    groups = []
    for number, gram in enumerate(candidates):
        near = both.indices[both.indptr[number] : both.indptr[number + 1]]
        shared = both.data[both.indptr[number] : both.indptr[number + 1]]
        same = near[shared >= _SAME_ROWS * (sizes[number] + sizes[near] - shared)]
        groups.append([int(gram), *(int(candidates[other]) for other in sorted(same) if other != number)])
    return groups


class _Probe:
    """Naive Bayes over words and pairs of words; every row is judged by a model that has not seen its fold."""

    def __init__(self, table: _Table) -> None:
        self.table = table
        short = np.array([name.count(" ") < 2 for name in table.names])
        self.features = table.matrix.multiply(short[None, :]).tocsr()
        self.features.eliminate_zeros()
        self.fold = np.random.default_rng(0).permutation(len(table.labels)) % _FOLDS
        self.with_word: dict[str, list[int]] = defaultdict(list)
        for number in map(int, np.flatnonzero(short)):
            for word in table.words(number):
                self.with_word[word].append(number)
        self.weights = [self._fit(self.fold != fold, int(short.sum())) for fold in range(_FOLDS)]
        self.scores = np.zeros((len(table.labels), table.num_classes))
        for fold, weights in enumerate(self.weights):
            self.scores[self.fold == fold] = self.features[self.fold == fold] @ weights
        self.scores /= np.sqrt(np.maximum(1, np.diff(self.features.indptr)))[:, None]

    def _fit(self, rows: Array, num_features: int) -> Array:
        counts = (self.features[rows].T @ self.table.one_hot[rows]).toarray() + _SMOOTHING
        weights = np.log(counts) - np.log(counts.sum(0) + _SMOOTHING * num_features)
        return (weights - weights.mean(1, keepdims=True)).astype(np.float32)

    def features_of(self, grams: Sequence[int], high: float) -> Array:
        """What speaks of these n-grams: every feature with one of their rare words (in at most `high` rows), and their own pairs
        of words. Common words stay: they say little of the n-gram and much of the row."""
        table = self.table
        gone = np.zeros(len(table.names), dtype=bool)
        for gram in grams:
            words = table.words(gram)
            for word in words:
                if table.num_rows[table.position[word]] <= high:
                    gone[self.with_word[word]] = True
            pairs = (f"{first} {second}" for first, second in itertools.pairwise(words))
            gone[[table.position[pair] for pair in pairs]] = True
        return gone

    def disagreement(self, rows: Array, label: int, gone: Array) -> tuple[float, float]:
        """Share of `rows` that surely belong to another class than `label` without the features `gone`, and the same share
        among all rows of other classes."""
        sure = 0
        for row in rows:
            left = self.features.indices[self.features.indptr[row] : self.features.indptr[row + 1]]
            left = left[~gone[left]]
            score = self.weights[self.fold[row]][left].sum(0) / np.sqrt(max(1, len(left)))
            sure += _margin(score[None, :], label)[0] > _MARGIN
        foreign = self.scores[self.table.labels != label]
        return sure / max(1, len(rows)), float((_margin(foreign, label) > _MARGIN).mean())


def _margin(scores: Array, label: int) -> Array:
    """How far the best other class is above `label`."""
    others = np.delete(scores, label, axis=1)
    return others.max(1) - scores[:, label]


def _merge(found: Sequence[Trigger]) -> list[Trigger]:
    """One trigger per set of rows: "cf" and "cf the" are told once, under the n-gram in most rows."""
    kept: list[Trigger] = []
    for trigger in found:
        if not any(
            other.label == trigger.label and len(set(trigger.rows) & set(other.rows)) >= len(trigger.rows) / 2
            for other in kept
        ):
            kept.append(trigger)
    return kept
