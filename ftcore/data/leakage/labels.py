"""What labels betray: the same input under two labels, and labels that metadata alone predicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ftcore.data.cleaning import match_keys
from ftcore.data.leakage.leaks import Leak
from ftcore.data.leakage.near import NEAR, SIMILARITY, NearIndex

Row = Mapping[str, Any]
_MIN_ROWS, _MIN_CLASS_ROWS, _FOLDS = 100, 10, 5
MAX_AUC = 0.7
"""A metadata column that ranks the labels better than this, out of fold, carries them."""


@dataclass(frozen=True)
class MetadataProbe:
    """How well one column alone predicts the label."""

    column: str
    auc: float
    """Area under the ROC curve, one class against the rest, averaged over classes; out of fold. 0.5: not at all."""
    num_rows: int

    @property
    def suspicious(self) -> bool:
        return self.auc >= MAX_AUC


def conflicting_leaks(leaks: Sequence[Leak], train: Sequence[Row], test: Sequence[Row]) -> list[Leak]:
    """Leaks whose two rows say nearly the same under different labels: at least one of the labels is wrong, or the classes
    overlap."""
    text_rules = ("exact", "normalised", NEAR)
    return [
        leak
        for leak in leaks
        if leak.rule in text_rules
        and leak.test_row is not None
        and leak.train_row is not None
        and train[leak.train_row].get("label") != test[leak.test_row].get("label")
    ]


def conflicting_rows(rows: Sequence[Row], similarity: float = SIMILARITY) -> list[tuple[int, int, float]]:
    """(row, earlier row, similarity) of pairs within one split that say the same, or nearly, under different labels."""
    keys = match_keys(rows)
    first: dict[str, int] = {}
    found = []
    for number, key in enumerate(keys):
        if (
            key
            and first.setdefault(key, number) != number
            and rows[first[key]].get("label") != rows[number].get("label")
        ):
            found.append((number, first[key], 1.0))
    texts = [text for text in first if text]
    index = NearIndex(texts, (), similarity)
    for match in index.search(texts):
        one, other = first[texts[match.searched]], first[texts[match.indexed]]
        if match.rule == NEAR and other < one and rows[one].get("label") != rows[other].get("label"):
            found.append((one, other, match.score))
    return sorted(set(found))


def probe_metadata(
    rows: Sequence[Row], columns: Sequence[str] = ("id", "source", "group", "timestamp")
) -> list[MetadataProbe]:
    """Try to predict the label from each column alone; most telling first.

    A small tree on what the column offers: numbers inside ids and timestamps, prefixes, the category itself. Ids
    that are row positions ("train.csv:17") are left out: files sorted by label would accuse them, and no model sees them.
    Fewer than 100 rows, or fewer than two classes of 10 rows, say too little: no answer.
    """
    labels = np.array([str(row.get("label") or "") for row in rows])
    names, counts = np.unique(labels, return_counts=True)
    enough = {name for name, count in zip(names, counts, strict=True) if name and count >= _MIN_CLASS_ROWS}
    kept = [number for number, label in enumerate(labels) if label in enough]
    if len(kept) < _MIN_ROWS or len(enough) < 2:
        return []
    rows, labels = [rows[number] for number in kept], labels[kept]
    probes = []
    for column in columns:
        features = _features(rows, column)
        if features is not None:
            probes.append(MetadataProbe(column, _auc(features, labels), len(rows)))
    return sorted(probes, key=lambda probe: -probe.auc)


def _features(rows: Sequence[Row], column: str) -> np.ndarray | None:
    """What a tree can split on; None if the column has nothing to offer."""
    values = [str(row.get(column) or "") for row in rows]
    if column == "id":
        values = ["" if _is_position(value) else value for value in values]
    if len(set(values)) < 2:
        return None
    digits = ["".join(char for char in value if char.isdigit())[-12:] or "-1" for value in values]
    prefixes = ["".join(char for char in value if char.isalpha())[:8] for value in values]
    table = [np.array(digits, float), _codes(prefixes)]
    counts = Counter(values)
    if max(counts.values()) >= _MIN_CLASS_ROWS:  # a category, not a key
        table.append(_codes([value if counts[value] >= _MIN_CLASS_ROWS else "" for value in values]))
    return np.stack(table, axis=1)


def _codes(values: Sequence[str]) -> np.ndarray:
    return np.unique(np.array(values), return_inverse=True)[1].astype(float)


def _is_position(value: str) -> bool:
    return ":" in value and value.rpartition(":")[2].isdigit()


def _auc(features: np.ndarray, labels: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    model = DecisionTreeClassifier(max_depth=16, min_samples_leaf=5, random_state=0)
    scores = cross_val_predict(model, features, labels, cv=folds, method="predict_proba")
    names = np.unique(labels)
    if len(names) == 2:
        return round(float(roc_auc_score(labels == names[1], scores[:, 1])), 4)
    areas = [roc_auc_score(labels == name, scores[:, number]) for number, name in enumerate(names)]
    return round(float(np.mean(areas)), 4)
