"""Expectations about this version of the data beside others: change since the last accepted one, leaks between splits."""

from __future__ import annotations

from typing import Any, ClassVar

from great_expectations.compatibility import pydantic

from ftcore.validation.custom._base import FrameExpectation, Observation, unjudged
from ftcore.validation.findings import Action
from ftcore.validation.profiles import compare_profiles, profile_split
from ftcore.validation.surroundings import Surroundings


class ExpectTableToResembleAccepted(FrameExpectation):
    """Size, label shares, length and vocabulary are near those of the same split of the last accepted version.

    Met where there is no accepted version, or it had no such split. Defaults: what an ordinary month of new rows stays within;
    `ftcore.validation.profiles` says what the figures mean.
    """

    min_size: float = pydantic.Field(default=0.8, ge=0.0)
    """Rows now over rows then."""
    max_size: float = pydantic.Field(default=2.0, gt=0.0)
    max_label_shift: float = pydantic.Field(default=0.15, ge=0.0, le=1.0)
    """The share of rows that would have to change label, beyond what chance explains."""
    max_length_change: float = pydantic.Field(default=1.5, ge=1.0)
    """Factor between the quartiles of words per row, either way."""
    max_vocabulary_shift: float = pydantic.Field(default=0.03, ge=0.0, le=1.0)
    """Jensen-Shannon divergence (bits) of word frequencies, beyond what chance explains."""

    def look(self, frame: Any, around: Surroundings) -> Observation:
        before = (around.accepted or {}).get("splits", {}).get(around.split)
        if before is None:
            return Observation(True, "no accepted version to compare with")
        now = profile_split(frame.to_dict("records"))
        change = compare_profiles(before, now)
        limits = {
            "size": (change.size, self.min_size <= change.size <= self.max_size),
            "label shift": (change.label_shift, change.label_shift <= self.max_label_shift),
            "length change": (change.length, change.length <= self.max_length_change),
            "vocabulary shift": (change.vocabulary, change.vocabulary <= self.max_vocabulary_shift),
        }
        beyond = [f"{name} {value:.2f}" for name, (value, met) in limits.items() if not met]
        observed = ", ".join(f"{name} {value:.2f}" for name, (value, _) in limits.items())
        evidence = {name: value for name, (value, _) in limits.items()}
        if beyond:
            observed = f"{', '.join(beyond)} (all: {observed})"
        return Observation(not beyond, observed, evidence=evidence)


class ExpectTableToHaveNoLeaks(FrameExpectation):
    """At most a share of the rows of this split is on either side of a leak between splits.

    The leaks are found before (`ftcore.data.leakage`) and handed over; an expectation that was given none of them is not met.
    """

    action: ClassVar[Action] = "refuse"
    reason: ClassVar[str] = "leaked"
    max_leaked: float | None = pydantic.Field(default=None, ge=0.0, le=1.0)
    """None: the spec's `leakage.max_leaked`."""

    def look(self, frame: Any, around: Surroundings) -> Observation:
        budget = around.max_leaked if self.max_leaked is None else self.max_leaked
        if around.leaks is None or budget is None:
            return unjudged("leaks were not looked for")
        side = "test_id" if around.split == "test" else "train_id"
        rules: dict[str, str] = {}
        for leak in around.leaks:
            if leak[side] is not None:
                rules.setdefault(str(leak[side]), str(leak["rule"]))
        rows = {row: f"leak ({rules[str(row_id)]})" for row, row_id in enumerate(frame["id"]) if str(row_id) in rules}
        share = len(rows) / len(frame) if len(frame) else 0.0
        return Observation(
            share <= budget, f"{share:.2%} of rows leaked, at most {budget:.2%}", rows, len(frame), len(frame)
        )
