"""The one place where validation asks what in a text is personal."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from typing import Any

_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+")
_DIGITS = re.compile(r"\d(?:[ .()/-]?\d){4,}")
_SECRET = re.compile(r"(?=\S*\d)(?=\S*[A-Za-z])\S{20,}")


def _find(text: str) -> Iterable[Any]:
    # By name: the detectors belong to the data room.
    return list(importlib.import_module("ftcore.data.personal").find_personal(text))


def personal_kinds(text: str) -> list[str]:
    """Kinds of personal data in a text, in order of appearance; empty: none."""
    return [str(finding.kind) for finding in _find(text)]


def mask_personal(text: str) -> str:
    """Text for a person to read as evidence: addresses, numbers of five digits and more and key-like words are blotted out.

    Coarser than `find_personal` on purpose: an example must not give away what a detector missed.
    """
    for pattern, mask in ((_ADDRESS, "[address]"), (_SECRET, "[key]"), (_DIGITS, "[number]")):
        text = pattern.sub(mask, text)
    return text
