"""Expectations about the label column: its balance, rare labels, and the same labels in every split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from great_expectations.compatibility import pydantic

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
        parts = [f"{len(unknown)} labels that train lacks: {_names(unknown)}"] if unknown else []
        parts += [f"{len(missing)} of train's {len(trained)} labels missing: {_names(missing)}"] if missing else []
        observed = "; ".join(parts) or f"the {len(trained)} labels of train"
        success = not unknown and len(missing) <= self.max_missing
        return Observation(success, observed, rows, int(frame[self.column].notna().sum()), len(frame))


def _names(labels: Iterable[object], limit: int = 8) -> str:
    listed = sorted(map(_name, labels))
    return ", ".join(listed[:limit]) + (f" and {len(listed) - limit} more" if len(listed) > limit else "")


def _name(label: object) -> str:
    text = str(label)
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
