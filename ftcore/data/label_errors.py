"""Rows whose label is probably wrong, for a person to look at. Nothing is changed or removed here, ever.

A cheap probe model (TF-IDF of words and word pairs, logistic regression) judges rows it was not trained on; confident learning
(cleanlab; Northcutt, Jiang, Chuang 2021) estimates how many labels are wrong, and the rows whose own label the probe believes
least come first. Further probes, each trained without the suspects of the one before, rank better (benchmarks/label_errors.py).
The holdout comes first of all: wrong labels there blur every verdict.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ftcore.data.splitting import split_key
from ftcore.spec import LabelAuditSpec, Split

if TYPE_CHECKING:
    import numpy as np

Row = Mapping[str, Any]
ROUNDS = 4
_TOKENS = r"\w+|[^\w\s]+"  # punctuation too, so that no row is without any
REVIEW_ORDER: tuple[Split, ...] = ("test", "validation", "train")


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """One line of the review queue."""

    id: str
    split: Split
    label: str
    suggested: str
    """What the probe would say."""
    score: float
    """The probe's probability of the given label, 0 to 1; the lower, the more suspicious."""


@dataclass(frozen=True, kw_only=True)
class AuditedSplit:
    """What the audit of one split rests on."""

    split: Split
    num_rows: int
    num_judged: int
    """Rows with a label that the probe has learnt."""
    noise_rate: float | None
    """Estimated share of wrong labels; None: nothing could be judged."""
    agreement: float | None
    """Share of judged rows where probe and label agree. Below about 0.85 the queue holds many rows that are right."""
    note: str = ""


@dataclass
class LabelAudit:
    """The review queue, test rows first, then by score, and what it rests on."""

    suspects: list[Suspect] = field(default_factory=list)
    splits: list[AuditedSplit] = field(default_factory=list)

    def queue(self) -> list[dict[str, Any]]:
        return [asdict(suspect) for suspect in self.suspects]

    def summary(self) -> list[dict[str, Any]]:
        return [asdict(audited) for audited in self.splits]

    @property
    def num_suspects(self) -> dict[str, int]:
        """Rows to look at, by split audited."""
        return {
            audited.split: sum(suspect.split == audited.split for suspect in self.suspects) for audited in self.splits
        }


def audit_labels(splits: Mapping[Split, Sequence[Row]], settings: LabelAuditSpec) -> LabelAudit:
    """Audit `settings.splits`; a split that cannot be audited has a note instead.

    Test and validation are judged by a probe trained on train without its suspects, train by cross-validation whose folds keep
    groups and equal texts together.
    """
    audit = LabelAudit()
    train = splits.get("train", ())
    wanted = [split for split in REVIEW_ORDER if split in settings.splits]
    notes = {split: _why_not(train, splits.get(split, ()), settings.max_rows) for split in wanted}
    if not all(notes.values()):
        judged_train = cross_validated(train, settings.folds)
        distrusted = _suspect_ids(train, *judged_train)
    for split in wanted:
        rows = splits.get(split, ())
        if note := notes[split]:
            audit.splits.append(
                AuditedSplit(split=split, num_rows=len(rows), num_judged=0, noise_rate=None, agreement=None, note=note)
            )
            continue
        if split == "train":
            labels, chances = judged_train
        else:
            trusted = [row for row in train if row["id"] not in distrusted]
            labels, chances = _judge(trusted if len({row["label"] for row in trusted}) > 1 else train, rows)
        audited, suspects = suspects_of(split, rows, labels, chances)
        audit.splits.append(audited)
        audit.suspects += suspects
    return audit


def _why_not(train: Sequence[Row], rows: Sequence[Row], max_rows: int) -> str:
    if not rows or not all(row.get("label") for row in (*train, *rows)):
        return "no rows with labels"
    if max(len(rows), len(train)) > max_rows:
        return f"{max(len(rows), len(train)):,} rows, wanted at most {max_rows:,} (prepare.label_audit.max_rows)"
    return "" if len({row["label"] for row in train}) > 1 else "train has one label"


def cross_validated(rows: Sequence[Row], folds: int, rounds: int = ROUNDS) -> tuple[list[str], np.ndarray]:
    """Sorted labels and, for each row, the chances that a probe trained on the other folds gives them (NaN: not judged).

    Args:
        rounds: From the second on, the probe is trained without the suspects of the round before.
    """
    suspects: Set[str] = frozenset()
    for _ in range(rounds - 1):
        suspects = _suspect_ids(rows, *_one_round(rows, folds, suspects))
    return _one_round(rows, folds, suspects)


def _suspect_ids(rows: Sequence[Row], labels: Sequence[str], chances: np.ndarray) -> Set[str]:
    return {suspect.id for suspect in suspects_of("train", rows, labels, chances)[1]}


def _one_round(rows: Sequence[Row], folds: int, suspects: Set[str]) -> tuple[list[str], np.ndarray]:
    import numpy as np

    labels = sorted({row["label"] for row in rows})
    chances = np.full((len(rows), len(labels)), np.nan)
    fold_of = [_fold(row, folds) for row in rows]
    for fold in range(folds):
        inside = [number for number, other in enumerate(fold_of) if other == fold]
        outside = [row for row, other in zip(rows, fold_of, strict=True) if other != fold and row["id"] not in suspects]
        if inside and len({row["label"] for row in outside}) > 1:
            found, judged = _judge(outside, [rows[number] for number in inside])
            chances[np.ix_(inside, [labels.index(label) for label in found])] = judged
    return labels, chances


def _fold(row: Row, folds: int) -> int:
    return int(hashlib.sha256(f"ftcore fold\n{split_key(row)}".encode()).hexdigest()[:8], 16) % folds


def _judge(train: Sequence[Row], rows: Sequence[Row]) -> tuple[list[str], np.ndarray]:
    """Labels of train, sorted, and the probe's chances for `rows`."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=_TOKENS, sublinear_tf=True)
    features = words.fit_transform([row["text"] for row in train])
    probe = OneVsRestClassifier(LogisticRegression(C=30.0, solver="liblinear", tol=1e-2, random_state=0))
    probe.fit(features, [row["label"] for row in train])
    return [str(label) for label in probe.classes_], probe.predict_proba(words.transform([row["text"] for row in rows]))


def suspects_of(
    split: Split, rows: Sequence[Row], labels: Sequence[str], chances: np.ndarray
) -> tuple[AuditedSplit, list[Suspect]]:
    """Rows whose label is probably wrong, the least believed first, and what that rests on.

    Args:
        rows: With `id` and `label`; those with a label that is not among `labels` are not judged.
        labels: Sorted labels of the columns of `chances`.
        chances: [rows, labels] of a model that was not trained on these rows; NaN: not judged.
    """
    import numpy as np
    from cleanlab.count import num_label_issues
    from cleanlab.rank import get_label_quality_scores

    number_of = {label: number for number, label in enumerate(labels)}
    given = np.array([number_of.get(row["label"], -1) for row in rows])
    chances = np.nan_to_num(chances)
    judged = np.flatnonzero((given >= 0) & (chances[np.arange(len(rows)), given] > 0))
    if not len(judged):
        audited = AuditedSplit(
            split=split,
            num_rows=len(rows),
            num_judged=0,
            noise_rate=None,
            agreement=None,
            note="labels unknown to train",
        )
        return audited, []
    chances, given = chances[judged], given[judged]
    chances = chances / chances.sum(axis=1, keepdims=True)
    scores = get_label_quality_scores(given, chances)
    count = int(num_label_issues(given, chances))
    best = chances.argmax(axis=1)
    order = [number for number in np.lexsort((judged, scores)) if best[number] != given[number]][:count]
    suspects = [
        Suspect(
            id=rows[judged[number]]["id"], split=split, label=labels[given[number]], suggested=labels[best[number]],
            score=round(float(scores[number]), 6),
        )
        for number in order
    ]  # fmt: skip
    audited = AuditedSplit(
        split=split, num_rows=len(rows), num_judged=len(judged), noise_rate=count / len(judged),
        agreement=float((best == given).mean()),
    )  # fmt: skip
    return audited, suspects
