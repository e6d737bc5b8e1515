"""A cheap model of the same rows, trained on growing parts of the training split: what more data would likely give.

Logistic regression (stochastic gradient descent, one class against the others) on TF-IDF of words and word pairs. It is not the
model that is being judged: only the shape of its curve is of interest, and the labels that it doubts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import SGDClassifier

from ftcore.evaluation.rows import Floats

Row = Mapping[str, Any]
SHARES = (0.1, 0.2, 0.4, 0.7, 1.0)
MAX_ROWS, MAX_WORK = 10_000, 300_000
"""Training rows, and rows x classes, that the probe looks at: bounds its time."""
MIN_ROWS = 20
_TOKENS = r"\w+|[^\w\s]+"  # punctuation too, so that no row is without any


@dataclass(frozen=True)
class Probe:
    """The probe at every share of the training rows."""

    num_train: tuple[int, ...]
    """Rows trained on."""
    right: Floats
    """[shares, test rows] 1 where the label is the given one."""
    labels: tuple[str, ...]
    chances: Floats
    """[test rows, labels] of the probe trained on all of its rows."""
    was_sampled: bool
    """There were more training rows than the probe looks at."""


def train_probe(train: Sequence[Row], test: Sequence[Row], seed: int = 0) -> Probe | None:
    """None where there are too few training rows, or only one label.

    Args:
        train: Rows with text and label.
        test: The same; the labels only count what is right.
    """
    num_classes = len({row["label"] for row in train})
    limit = min(MAX_ROWS, max(1_000, MAX_WORK // max(1, num_classes)))
    order = np.random.default_rng(seed).permutation(len(train))[:limit]
    if num_classes < 2 or len(order) < 5 * MIN_ROWS or not test:
        return None
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), token_pattern=_TOKENS, sublinear_tf=True)
    try:
        features = vectorizer.fit_transform([str(train[position]["text"])[:2000] for position in order])
    except ValueError:  # no words at all
        return None
    asked = vectorizer.transform([str(row["text"])[:2000] for row in test])
    labels = np.array([str(train[position]["label"]) for position in order], dtype=object)
    wanted = np.array([str(row["label"]) for row in test], dtype=object)
    sizes, right = [], []
    for share in SHARES:
        size = round(share * len(order))
        if size < MIN_ROWS or len(set(labels[:size])) < 2:
            continue
        model = SGDClassifier(loss="log_loss", alpha=1e-5, max_iter=8, tol=None, random_state=seed)
        model.fit(features[:size], labels[:size].astype(str))
        sizes.append(size)
        right.append((model.predict(asked).astype(object) == wanted).astype(float))
    return Probe(
        tuple(sizes), np.array(right), tuple(map(str, model.classes_)), _chances(model, asked), limit < len(train)
    )


def _chances(model: SGDClassifier, asked: Any) -> Floats:
    found: Floats = np.nan_to_num(model.predict_proba(asked))
    return found
