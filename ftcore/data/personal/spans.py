"""What a detector of personal data hands on: kind and place, never the value."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

from ftcore.spec import PersonalKind

KINDS: tuple[PersonalKind, ...] = get_args(PersonalKind)
"""In order of precedence: where two kinds overlap, the earlier one names the whole stretch."""
_MASK = re.compile(r"\[[A-Z][A-Z0-9_]*\]")


@dataclass(frozen=True, order=True)
class PersonalSpan:
    """One hit: `text[start:end]`. It holds no text, so that no log or message can show the value."""

    start: int
    end: int
    kind: str
    """One of KINDS, or what another engine calls it in lower case (`person`, `location`)."""


Finder = Callable[[str], Iterable[PersonalSpan]]
"""Another engine: its hits in a text, in any order."""


def merge_spans(spans: Iterable[PersonalSpan]) -> list[PersonalSpan]:
    """Overlapping hits as one that covers them all, sorted by place."""
    merged: list[PersonalSpan] = []
    for span in sorted(spans):
        if merged and span.start < merged[-1].end:
            last = merged[-1]
            merged[-1] = PersonalSpan(last.start, max(last.end, span.end), min(last.kind, span.kind, key=_precedence))
        else:
            merged.append(span)
    return merged


def _precedence(kind: str) -> int:
    names: Sequence[str] = KINDS
    return names.index(kind) if kind in names else len(names)


def add_spans(text: str, found: Sequence[PersonalSpan], more: Iterable[PersonalSpan]) -> list[PersonalSpan]:
    """`found` as it is, and those parts of `more` that lie outside of it and hold a letter or digit; sorted.

    Nothing is found inside of `[EMAIL]` and the like, or redacting would never come to an end.
    """
    taken = merge_spans([*found, *(PersonalSpan(*match.span(), "") for match in _MASK.finditer(text))])
    added = [part for span in merge_spans(more) for part in _outside(text, span, taken)]
    return sorted([*found, *added])


def _outside(text: str, span: PersonalSpan, taken: Iterable[PersonalSpan]) -> Iterator[PersonalSpan]:
    start = span.start
    for other in taken:
        if other.end > start and other.start < span.end:
            yield from _trimmed(text, start, other.start, span.kind)
            start = max(start, other.end)
    yield from _trimmed(text, start, span.end, span.kind)


def _trimmed(text: str, start: int, end: int, kind: str) -> Iterator[PersonalSpan]:
    """The stretch without white space around it; nothing if no letter or digit is left."""
    part = text[start:end] if start < end else ""
    if any(char.isalnum() for char in part):
        yield PersonalSpan(start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip()), kind)
