"""Text from data inside Markdown pages: reasons, labels and slice values must stay text."""

from __future__ import annotations

_ENTITIES = {ord(mark): f"&#{ord(mark)};" for mark in "&<>|`*_[]()!#\\~\"'"} | {ord("\n"): " ", ord("\r"): " "}
_SHOWN_CHARS = 200


def escape(text: str) -> str:
    """Text that neither Markdown nor HTML can take for markup; control characters go, long text is cut."""
    printable = "".join(mark if mark.isprintable() or mark in "\r\n" else "�" for mark in text)
    cut = printable if len(printable) <= 4 * _SHOWN_CHARS else printable[: 4 * _SHOWN_CHARS] + "…"
    return cut.translate(_ENTITIES)
