"""Reads a page as a browser would, to see what is markup and what is text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

# Raw characters that no page may hold: controls, bidi, zero-width, surrogates, tags, odd separators.
UNSHOWN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.outline: list[tuple[str, tuple[str, ...]]] = []
        self.values: list[str] = []
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "wbr":
            self.outline.append((tag, tuple(name for name, _ in attrs)))
        self.values += [value or "" for _, value in attrs]
        if tag not in ("wbr", "br", "hr", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError("a comment that no template has made")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError("a declaration that no template has made")

    def handle_pi(self, data: str) -> None:
        raise AssertionError("an instruction that no template has made")


def read(markup: str) -> _Reader:
    """Elements with the names of their attributes, attribute values and text; fails if tags do not match."""
    reader = _Reader()
    reader.feed(markup)
    reader.close()
    assert not reader.open
    return reader
