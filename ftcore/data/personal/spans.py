"""What a detector of personal data hands on: kind and place, never the value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

from ftcore.spec import PersonalKind

KINDS: tuple[PersonalKind, ...] = get_args(PersonalKind)
"""In order of precedence: where two kinds overlap, the earlier one names the whole stretch."""


@dataclass(frozen=True, order=True)
class PersonalSpan:
    """One hit: `text[start:end]`. It holds no text, so that no log or message can show the value."""

    start: int
    end: int
    kind: PersonalKind


def merge_spans(spans: Iterable[PersonalSpan]) -> list[PersonalSpan]:
    """Overlapping hits as one that covers them all, sorted by place."""
    merged: list[PersonalSpan] = []
    for span in sorted(spans):
        if merged and span.start < merged[-1].end:
            last = merged[-1]
            kind = min(last.kind, span.kind, key=KINDS.index)
            merged[-1] = PersonalSpan(last.start, max(last.end, span.end), kind)
        else:
            merged.append(span)
    return merged
