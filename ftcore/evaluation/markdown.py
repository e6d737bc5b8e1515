"""Text from data inside Markdown pages: reasons, labels and slice values must stay text."""

from __future__ import annotations

import re

_ENTITIES = {ord(mark): f"&#{ord(mark)};" for mark in "&<>|`*[]!#\\~"} | {ord("\n"): " ", ord("\r"): " "}
_EMPHASIS = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
"""Underscores at the edge of a word: those inside of one are letters to Markdown."""
_SHOWN_CHARS = 200


def escape(text: str) -> str:
    """Text that neither Markdown nor HTML can take for markup; control characters go, long text is cut.

    People read these pages as they are, too: brackets and quotes stay, for without `[` and `<` they are no markup.
    """
    printable = "".join(mark if mark.isprintable() or mark in "\r\n" else "�" for mark in text)
    cut = printable if len(printable) <= 4 * _SHOWN_CHARS else printable[: 4 * _SHOWN_CHARS] + "…"
    return _EMPHASIS.sub("&#95;", cut.translate(_ENTITIES))
