"""One number of a probe for every model that was asked, each with an interval, and the paired differences between models."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ftcore.evaluation.generation.metrics import influence, mean
from ftcore.evaluation.rows import Floats, Ints, group_sums
from ftcore.evaluation.statistics.differences import Difference, resampled_difference
from ftcore.evaluation.statistics.intervals import delta_interval, proportion_interval
from ftcore.evaluation.statistics.resampling import units_of_sums
from ftcore.evaluation.statistics.shares import share_difference

Kind = Literal["share", "ratio", "loss"]
"""share: each row yes or no; ratio: sums over rows, one over the other, 0 to `ceiling`; loss: the same, with no upper end."""


@dataclass(frozen=True)
class Measure:
    """What was counted, on the same rows for every model."""

    probe: str
    name: str
    what: str
    """For people."""
    counts: Mapping[str, Floats]
    """By role: [rows, 2] what a row adds above and below; of shares 0 or 1, and 1."""
    kind: Kind = "share"
    groups: Ints | None = None
    """[rows] dense codes of rows that belong together."""
    ceiling: float = 1.0
    """Largest value of a ratio."""
    less_is_better: bool = True

    def to_dict(self, pairs: tuple[tuple[str, str], ...]) -> dict[str, Any] | None:
        """Values and differences as plain data; None where there is nothing to divide by.

        Args:
            pairs: Roles to compare: (one, other) gives one minus other. Those that were not asked are left out.
        """
        if not self.is_defined(*self.counts):
            return None
        return {
            "probe": self.probe, "name": self.name, "what": self.what, "kind": self.kind,
            "n": len(next(iter(self.counts.values()))),
            "models": {role: self._value(counts) for role, counts in self.counts.items()},
            "differences": [
                {"of": one, "minus": other, **self._difference(one, other)}
                for one, other in pairs
                if one in self.counts and other in self.counts
            ],
        }  # fmt: skip

    def is_defined(self, *roles: str) -> bool:
        """Whether these models were asked, and there is something to divide by."""
        asked = [self.counts.get(role) for role in roles]
        return all(counts is not None and len(counts) and counts[:, 1].sum() > 0 for counts in asked)

    def _value(self, counts: Floats) -> dict[str, Any]:
        value = float(mean(counts.sum(axis=0)))
        if self.kind == "share":
            low, high = proportion_interval(counts[:, 0], self.groups)
        else:
            sums = group_sums(influence(self.name, _scaled(counts, self.ceiling)), self.groups)
            scale: Literal["logit", "log"] = "log" if self.kind == "loss" else "logit"
            value_in = max(value / self.ceiling, 1e-12) if self.kind == "loss" else value / self.ceiling
            low, high = delta_interval(value_in, sums, len(counts), scale, float(len(sums)))
            low, high = low * self.ceiling, high * self.ceiling
        return {"value": value, "ci_low": low, "ci_high": high if math.isfinite(high) else None}

    def _difference(self, one: str, other: str) -> dict[str, Any]:
        found = self.difference(one, other)
        return {name: getattr(found, name) for name in ("difference", "ci_low", "ci_high", "method")}

    def difference(self, one: str, other: str, alpha: float = 0.05) -> Difference:
        """One model minus another on the same rows, bounds at 1 - alpha. Both were asked."""
        counts = [self.counts[role] for role in (one, other)]
        values = (float(mean(counts[0].sum(axis=0))), float(mean(counts[1].sum(axis=0))))
        if self.kind == "share":
            wins = np.asarray(counts[0][:, 0] - counts[1][:, 0], dtype=np.int64)
            return share_difference(self.name, values, wins, self.groups, alpha)
        effects = influence(self.name, counts[0]) - influence(self.name, counts[1])
        largest = math.inf if self.kind == "loss" else self.ceiling
        both = np.concatenate(counts, axis=1)
        units = units_of_sums(both, self.groups, 2)
        return resampled_difference(
            self.name, values, units, _difference_of_means, effects, self.groups, alpha, largest
        )

    def to_rows(self) -> dict[str, Any]:
        """All of it as plain data, row by row."""
        return {
            "probe": self.probe, "name": self.name, "what": self.what, "kind": self.kind, "ceiling": self.ceiling,
            "less_is_better": self.less_is_better, "groups": None if self.groups is None else self.groups.tolist(),
            "counts": {role: counts.tolist() for role, counts in self.counts.items()},
        }  # fmt: skip

    @classmethod
    def from_rows(cls, plain: Mapping[str, Any]) -> Measure:
        """From what `to_rows` gave."""
        groups = None if plain["groups"] is None else np.array(plain["groups"], dtype=np.int64)
        counts = {role: np.array(rows, dtype=float).reshape(-1, 2) for role, rows in plain["counts"].items()}
        return cls(**{**plain, "groups": groups, "counts": counts})


def share(rows: list[bool]) -> Floats:
    """[rows, 2] counts of a share."""
    return np.stack([np.array(rows, dtype=float), np.ones(len(rows))], axis=1)


def ratio(above: list[float] | Floats, below: list[float] | Floats | None = None) -> Floats:
    """[rows, 2] counts of a ratio of sums; without `below` of a mean."""
    top = np.asarray(above, dtype=float)
    return np.stack([top, np.ones(len(top)) if below is None else np.asarray(below, dtype=float)], axis=1)


def _scaled(counts: Floats, ceiling: float) -> Floats:
    scaled: Floats = counts / np.array([ceiling, 1.0])
    return scaled


def _difference_of_means(totals: Floats) -> Floats:
    """[resamples, 2 models, 2] to [resamples]."""
    found: Floats = mean(totals[:, 0]) - mean(totals[:, 1])
    return found
