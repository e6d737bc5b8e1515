"""Row text that a person may read as evidence in a report: masked, cut, nothing invisible."""

from __future__ import annotations

import re

from ftcore.data import personal

_EXCERPT = 200  # characters
_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+")
_DIGITS = re.compile(r"\d(?:[ .()/-]?\d){4,}")
_SECRET = re.compile(r"(?=\S*\d)(?=\S*[A-Za-z])\S{20,}")


def mask_personal(text: str) -> str:
    """Text for a person to read as evidence: personal data redacted, then anything left that looks like an address, a number of
    five digits and more, or a key.

    Coarser than the detectors on purpose: an example must not give away what they missed.
    """
    text = personal.redact(text)
    for pattern, mask in ((_ADDRESS, "[address]"), (_SECRET, "[key]"), (_DIGITS, "[number]")):
        text = pattern.sub(mask, text)
    return text


def show(value: object) -> str:
    """A value as a person may read it: personal data masked, at most 200 characters, nothing invisible."""
    if value is None:
        return "(nothing)"
    text = mask_personal(str(value)[: 4 * _EXCERPT])
    visible = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return visible if len(visible) <= _EXCERPT else f"{visible[: _EXCERPT - 1]}…"
