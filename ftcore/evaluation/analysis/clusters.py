"""Rows in groups of like meaning, named by their words: topics of all rows, and clusters of those that fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from ftcore.evaluation.analysis.holdout_rows import HoldoutRows
from ftcore.evaluation.rows import Bools, Floats, Ints

Vectors = npt.NDArray[np.float32]
ROWS_PER_TOPIC, MAX_TOPICS = 150, 20
MIN_FAILURES, MAX_CLUSTERS = 10, 12
NUM_EXAMPLES = 3
_FITTED = 5_000  # rows that centres are fitted on; the others are put to the nearest
_WORD = r"(?u)\b[^\W\d_]{2,}\b"  # no numbers: a name must not spell an order or a telephone
_NAMED_BY = 3
_MIN_WITH_WORD = 3  # rows; a word of fewer people names nothing


@dataclass(frozen=True)
class Topics:
    """Topics of all rows."""

    codes: Ints
    """[rows]"""
    names: tuple[str, ...]


class Words:
    """TF-IDF of all texts, to name groups of them."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.table: csr_matrix | None = None
        self.words: list[str] = []
        vectorizer = TfidfVectorizer(
            token_pattern=_WORD,
            sublinear_tf=True,
            stop_words="english",
            min_df=min(_MIN_WITH_WORD, len(texts)),
            max_df=0.5,
        )
        try:
            self.table = vectorizer.fit_transform(text[:2000] for text in texts)
        except ValueError:  # no words, or none that is common and telling
            return
        self.words = vectorizer.get_feature_names_out().tolist()

    def name(self, inside: Bools) -> str:
        """The words that tell rows from the others: largest difference of mean weights; empty where there are none."""
        if self.table is None or not inside.any():
            return ""
        mean = np.asarray(self.table[inside].mean(axis=0)).ravel()
        if not inside.all():
            mean = mean - np.asarray(self.table[~inside].mean(axis=0)).ravel()
        best = np.argsort(-mean, kind="stable")[:_NAMED_BY]
        return ", ".join(self.words[index] for index in best if mean[index] > 0)

    def vectors(self) -> Vectors | None:
        """[rows, at most 64] for rows that have no embeddings; None where there are no words."""
        if self.table is None or min(self.table.shape) < 3:
            return None
        size = min(64, min(self.table.shape) - 1)
        found = TruncatedSVD(size, random_state=0).fit_transform(self.table).astype(np.float32)
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        scaled: Vectors = found / np.maximum(lengths, 1e-12)
        return scaled


def topics_of(vectors: Vectors, words: Words) -> Topics | None:
    """k-means over all rows, about ROWS_PER_TOPIC each; None where there are too few rows for two."""
    wanted = min(MAX_TOPICS, len(vectors) // ROWS_PER_TOPIC)
    codes = _k_means(vectors, wanted)[0] if wanted >= 2 else None
    if codes is None:
        return None
    names = [words.name(codes == code) or "no words" for code in range(int(codes.max()) + 1)]
    twice = Counter(names)
    return Topics(codes, tuple(f"{name} ({code + 1})" if twice[name] > 1 else name for code, name in enumerate(names)))


def failure_clusters(rows: HoldoutRows, failing: Bools, vectors: Vectors | None, words: Words) -> list[dict[str, Any]]:
    """Clusters of the failing rows, largest first: name, share of failures, how many rows around its middle fail, examples
    nearest to the middle, and for labels the commonest confusions.

    Empty with fewer than MIN_FAILURES failures, or nothing to compare rows by.
    """
    positions = np.flatnonzero(failing)
    if len(positions) < MIN_FAILURES or vectors is None:
        return []
    wanted = min(MAX_CLUSTERS, max(2, round(float(np.sqrt(len(positions) / 2)))))
    codes, centres = _k_means(vectors[positions], wanted)
    found = []
    for code in range(len(centres)):
        inside = positions[codes == code]
        if not len(inside):
            continue
        distances = _distances(vectors, centres[code])
        near = distances <= np.quantile(distances[inside], 0.75)
        member = np.zeros(rows.num_rows, dtype=bool)
        member[inside] = True
        found.append({
            "name": words.name(member) or "no words in common", "n": len(inside), "share": len(inside) / len(positions),
            "num_near": int(near.sum()), "num_near_failing": int((near & failing).sum()),
            "confusions": [] if rows.generates else _commonest(rows, inside),
            "examples": rows.examples(inside[np.argsort(distances[inside], kind="stable")][:NUM_EXAMPLES]),
        })  # fmt: skip
    return sorted(found, key=lambda item: (-item["n"], item["name"]))


def _commonest(rows: HoldoutRows, inside: Ints) -> list[dict[str, Any]]:
    predicted = rows.models["candidate"].predictions
    counts = Counter((rows.targets[row], predicted[row]) for row in inside)
    return [{"target": target, "predicted": other, "n": n} for (target, other), n in counts.most_common(2) if n > 1]


def _distances(vectors: Vectors, centre: npt.NDArray[np.floating]) -> Floats:
    found: Floats = np.linalg.norm(vectors - centre, axis=1).astype(float)
    return found


def _k_means(vectors: Vectors, wanted: int) -> tuple[Ints, npt.NDArray[np.floating]]:
    """Codes [rows] without gaps and the centres; fewer than wanted where rows are alike."""
    fitted = vectors
    if len(vectors) > _FITTED:
        fitted = vectors[np.random.default_rng(0).choice(len(vectors), _FITTED, replace=False)]
    wanted = min(wanted, len(np.unique(fitted, axis=0)))
    means = KMeans(wanted, n_init=3, random_state=0).fit(fitted)
    used, codes = np.unique(means.predict(vectors), return_inverse=True)
    return codes.astype(np.int64), means.cluster_centers_[used]
