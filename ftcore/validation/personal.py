"""The one place where validation asks what in a text is personal."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from ftcore.data import personal

_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+")
_DIGITS = re.compile(r"\d(?:[ .()/-]?\d){4,}")
_SECRET = re.compile(r"(?=\S*\d)(?=\S*[A-Za-z])\S{20,}")


def personal_kinds(
    text: str, kinds: Collection[str] = personal.KINDS, regions: Sequence[str] = personal.REGIONS
) -> list[str]:
    """Kinds of personal data in a text, in order of appearance; empty: none. Arguments as of `find_personal`."""
    return [str(span.kind) for span in personal.find_personal(text, kinds, regions)]


def mask_personal(text: str) -> str:
    """Text for a person to read as evidence: personal data redacted, then anything left that looks like an address, a number of
    five digits and more, or a key.

    Coarser than the detectors on purpose: an example must not give away what they missed.
    """
    text = personal.redact(text)
    for pattern, mask in ((_ADDRESS, "[address]"), (_SECRET, "[key]"), (_DIGITS, "[number]")):
        text = pattern.sub(mask, text)
    return text
