"""Expectations about the label column: its balance, rare labels, the same labels in every split, and what labels betray."""

from __future__ import annotations

from collections import Counter
from typing import Any

from great_expectations.compatibility import pydantic

from ftcore.data.leakage.labels import MAX_AUC, conflicting_rows, probe_metadata
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
        observed = f"{len(rare)} of {len(counts)} labels in fewer than {self.min_rows} rows"
        if rare:
            observed += f": {', '.join(sorted(map(_name, rare))[:8])}"
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
        observed = f"{len(unknown)} labels that train lacks, {len(missing)} of its {len(trained)} missing"
        named = sorted(map(_name, unknown or missing))[:8]
        if named:
            observed += f": {', '.join(named)}"
        success = not unknown and len(missing) <= self.max_missing
        return Observation(success, observed, rows, int(frame[self.column].notna().sum()), len(frame))


class ExpectColumnLabelsToAgree(ColumnExpectation):
    """Rows that say the same, or nearly the same (`near_duplicate` of the leakage rules), have the same label."""

    mostly: float = pydantic.Field(default=0.98, ge=0.0, le=1.0)
    """Share of the rows that must not contradict another one."""

    def look(self, frame: Any, around: Surroundings) -> Observation:
        rows = [
            {"text": text or "", "label": label} for text, label in zip(frame["text"], frame[self.column], strict=True)
        ]
        found: dict[int, str] = {}
        for late, early, _ in conflicting_rows(rows):
            found.setdefault(late, f"contradicts row {frame['id'].iloc[early]}")
            found.setdefault(early, f"contradicts row {frame['id'].iloc[late]}")
        success = len(found) <= (1.0 - self.mostly) * len(rows) + 1e-9
        return Observation(success, f"{len(found)} rows contradict another one", found, len(rows), len(rows))


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


def _name(label: object) -> str:
    text = str(label)
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
