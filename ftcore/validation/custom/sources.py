"""Expectations about where rows come from: no source above its share, none that nobody has looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from great_expectations.compatibility import pydantic

from ftcore.validation.custom._base import ColumnExpectation, Observation, RowExpectation, unjudged
from ftcore.validation.findings import Action
from ftcore.validation.surroundings import Surroundings


class ExpectColumnSourceToStayUnderQuota(ColumnExpectation):
    """No source provides more than a share of the rows: what one contributor can plant is bounded."""

    max_share: float = pydantic.Field(default=0.8, gt=0.0, le=1.0)

    def look(self, frame: Any, around: Surroundings) -> Observation:
        counts = Counter(frame[self.column].dropna())
        if not counts:
            return unjudged("no row has a source")
        ((_, most),) = counts.most_common(1)
        share = most / len(frame)
        observed = f"one of {len(counts)} sources in {share:.2%} of the rows"
        return Observation(share <= self.max_share, observed, evidence={"sources": dict(counts.most_common(50))})


class ExpectColumnSourceToBeKnown(RowExpectation):
    """Every source was in the last accepted version; rows of a new one wait in quarantine until somebody has looked at it.

    Where there is no accepted version yet, every source is as good as any.
    """

    action: ClassVar[Action] = "quarantine"
    reason: ClassVar[str] = "new_source"
    known: list[str] = pydantic.Field(default=[])
    """Sources that are accepted besides: name one here to let it in."""

    def faults(self, values: Sequence[Any], around: Surroundings) -> Iterable[Any]:
        if around.accepted is None:
            return [None] * len(values)
        profiles = around.accepted.get("splits", {}).values()
        known = {source for profile in profiles for source in profile.get("sources", ())} | set(self.known)
        return (None if value in known else "source not in the last accepted version" for value in values)
