"""Expectations about labels: their balance, rare ones, the same ones in every split, one label per text, and metadata."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from great_expectations.compatibility import pydantic

from ftcore.data.leakage.labels import MAX_AUC, conflicting_rows, probe_metadata
from ftcore.data.leakage.near import SIMILARITY
from ftcore.errors import num_of
from ftcore.validation.custom._base import ColumnExpectation, Observation, unjudged
from ftcore.validation.surroundings import Surroundings


class ExpectColumnLabelsToBeBalanced(ColumnExpectation):
    """No label takes more than a share of the rows, and the most frequent has at most so many times the rows of the rarest."""

    max_share: float = pydantic.Field(default=0.9, gt=0.0, le=1.0)
    max_ratio: float | None = pydantic.Field(default=None, ge=1.0)
    """None: any."""

    def look(self, frame: Any, around: Surroundings) -> Observation:
        counts = Counter(frame[self.column].dropna())
        if not counts:
            return unjudged("no row has a label")
        (top, most), least = counts.most_common(1)[0], min(counts.values())
        share, ratio = most / counts.total(), most / least
        success = share <= self.max_share and (self.max_ratio is None or ratio <= self.max_ratio)
        observed = f"{_name(top)} in {share:.2%} of the rows, {ratio:.1f} times as often as the rarest label"
        return Observation(success, observed, evidence={"labels": dict(counts.most_common(50))})


class ExpectColumnLabelsToHaveRows(ColumnExpectation):
    """Every label has at least so many rows: fewer can neither be learned nor judged."""

    min_rows: int = pydantic.Field(default=5, ge=1)

    def look(self, frame: Any, around: Surroundings) -> Observation:
        counts = Counter(frame[self.column].dropna())
        rare = {label for label, count in counts.items() if count < self.min_rows}
        rows = {row: "rare label" for row, label in enumerate(frame[self.column]) if label in rare}
        observed = f"{len(rare)} of {len(counts)} labels in fewer than {num_of(self.min_rows, 'row')}"
        if rare:
            observed += f": {_names(rare)}"
        return Observation(bool(counts) and not rare, observed, rows, int(frame[self.column].notna().sum()), len(frame))


class ExpectColumnLabelsToMatchTrain(ColumnExpectation):
    """The labels of this split are those of train: none that train lacks, and none missing but so many."""

    max_missing: int = pydantic.Field(default=0, ge=0)
    """Labels of train that this split may lack."""

    def look(self, frame: Any, around: Surroundings) -> Observation:
        trained = set((around.labels or {}).get("train", ()))
        if not trained:
            return unjudged("the labels of train were not given")
        here = set(frame[self.column].dropna())
        unknown, missing = here - trained, trained - here
        rows = {row: "label that train lacks" for row, label in enumerate(frame[self.column]) if label in unknown}
        parts = [f"{num_of(len(unknown), 'label')} that train lacks: {_names(unknown)}"] if unknown else []
        parts += [f"{len(missing)} of train's {len(trained)} labels missing: {_names(missing)}"] if missing else []
        observed = "; ".join(parts) or f"the {len(trained)} labels of train"
        success = not unknown and len(missing) <= self.max_missing
        return Observation(success, observed, rows, int(frame[self.column].notna().sum()), len(frame))


class ExpectColumnTextToHaveOneLabel(ColumnExpectation):
    """No text has two labels: not the same text after normalising, nor, as the leakage rule `near_duplicate` sees it, nearly the
    same one. One of the two labels is wrong, or the classes overlap."""

    mostly: float = pydantic.Field(default=0.95, ge=0.0, le=1.0)
    """Share of the rows that must be free of conflicts: near-duplicates may differ in the one word that counts."""
    label_column: str = "label"
    similarity: float = pydantic.Field(default=SIMILARITY, ge=0.5, le=1.0)
    """What makes two rows of 15 words and more nearly the same."""

    def look(self, frame: Any, around: Surroundings) -> Observation:
        usable = frame[frame[self.column].notna() & frame[self.label_column].notna()]
        positions = [int(number) for number in usable.index]
        texts, labels = list(usable[self.column]), list(usable[self.label_column])
        members = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
        pairs = conflicting_rows(members, self.similarity)
        rows = {positions[row]: "another label on (nearly) the same text" for pair in pairs for row in pair[:2]}
        success = len(rows) <= (1.0 - self.mostly) * len(usable) + 1e-9
        observed = f"{num_of(len(pairs), 'pair')} of (nearly) the same text under different labels"
        return Observation(success, observed, dict(sorted(rows.items())), len(usable), len(frame))


class ExpectColumnLabelsNotToFollowMetadata(ColumnExpectation):
    """No other column predicts the label by itself (`ftcore.data.leakage.labels.probe_metadata`)."""

    columns: list[str] = pydantic.Field(default_factory=lambda: ["id", "source", "group", "timestamp"])
    max_auc: float = pydantic.Field(default=MAX_AUC, ge=0.5, le=1.0)
    """Area under the ROC curve, one class against the rest, out of fold; 0.5: the column says nothing."""
    max_rows: int = pydantic.Field(default=2_000, ge=100)
    """Rows that are looked at, evenly spread."""

    def look(self, frame: Any, around: Surroundings) -> Observation:
        there = [column for column in self.columns if column in frame.columns]
        part = frame.iloc[:: max(1, len(frame) // self.max_rows)]
        probes = probe_metadata(part.assign(label=part[self.column]).to_dict("records"), there)
        beyond = [probe for probe in probes if probe.auc > self.max_auc]
        observed = ", ".join(f"{probe.column} {probe.auc:.2f}" for probe in beyond or probes) or "no column to look at"
        return Observation(not beyond, observed, evidence={probe.column: probe.auc for probe in probes})


def _names(labels: Iterable[object], limit: int = 8) -> str:
    listed = sorted(map(_name, labels))
    return ", ".join(listed[:limit]) + (f" and {len(listed) - limit} more" if len(listed) > limit else "")


def _name(label: object) -> str:
    text = str(label)
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
