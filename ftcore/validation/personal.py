"""The one place where validation asks what in a text is personal."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ftcore.data import personal


def personal_kinds(
    text: str, kinds: Collection[str] = personal.KINDS, regions: Sequence[str] = personal.REGIONS
) -> list[str]:
    """Kinds of personal data in a text, in order of appearance; empty: none. Arguments as of `find_personal`."""
    return [str(span.kind) for span in personal.find_personal(text, kinds, regions)]
