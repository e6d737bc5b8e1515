"""HTML elements that cannot be broken out of: a child is an Element or it is text, and text is escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
# Nothing that runs, loads or takes input; a report has no use for them.
_FORBIDDEN = {"script", "style", "iframe", "object", "embed", "form", "input", "base", "meta", "link", "img"}
_JOINTS = re.compile(r"(?<=[_/.:-])(?=\w)")
_VOID = {"br", "hr", "wbr"}
_RELATIVE = re.compile(r"[#\w][\w./#-]*", re.ASCII)


@dataclass(frozen=True)
class Element:
    """One element. Made by `element`, which checks names and addresses."""

    tag: str
    attributes: tuple[tuple[str, str], ...]
    children: tuple[Node, ...]

    def __str__(self) -> str:
        attributes = "".join(f' {name}="{html.escape(visible(value))}"' for name, value in self.attributes)
        if self.tag in _VOID:
            return f"<{self.tag}{attributes}>"
        return f"<{self.tag}{attributes}>{''.join(map(to_html, self.children))}</{self.tag}>"


Node = Element | str


def element(tag: str, *children: Node | None, **attributes: str | int | float | None) -> Element:
    """An element of the page.

    Args:
        tag: Name, written by us and never taken from data.
        children: Elements, text (escaped when written) or None (left out).
        attributes: `class_` is class, `stroke_width` is stroke-width; None leaves an attribute out. `href` must lead to a file
            beside the page or a place on it.
    """
    names = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    assert _NAME.fullmatch(tag), tag
    assert tag not in _FORBIDDEN, tag
    for name, value in names.items():
        assert _NAME.fullmatch(name), name
        assert not name.startswith("on"), name
        assert name not in ("src", "style"), name
        assert name != "href" or is_relative(str(value)), "an address that leaves the folder of the page"
    given = tuple((name, str(value)) for name, value in names.items() if value is not None)
    return Element(tag, given, tuple(child for child in children if child is not None))


def to_html(node: Node) -> str:
    """A node as markup; text is escaped and made visible."""
    return str(node) if isinstance(node, Element) else html.escape(visible(node))


def visible(text: str) -> str:
    """Text without characters that do not show or that turn the reading direction: they become escapes like `\\u202e`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def is_relative(address: str) -> bool:
    """True for `docs/index.html` and `#leaks`; false for other hosts, schemes, absolute paths and ways up."""
    return bool(_RELATIVE.fullmatch(address)) and ".." not in address


def section(title: str | None, *children: Node | None, class_: str | None = None, id_: str | None = None) -> Element:
    """A card of the page."""
    heading = element("h2", title) if title else None
    return element("section", heading, *children, class_=class_, id=id_)


def paragraph(*children: Node | None, class_: str | None = None) -> Element:
    return element("p", *children, class_=class_)


def soft(*children: Node | None) -> Element:
    """Small print."""
    return element("small", *children)


def code(text: str) -> Element:
    return element("code", text)


def quote(text: str) -> Element:
    """Something a row says; `dir` keeps right-to-left text from turning its surroundings."""
    return element("span", text, class_="quote", dir="auto")


def pill(text: str, tone: str) -> Element:
    """A word on coloured ground. `tone`: good, mild, bad or plain."""
    return element("span", text, class_=f"pill {tone}")


def link(text: str, address: str) -> Element:
    return element("a", text, href=address)


def bullets(items: Iterable[Node | Sequence[Node]], tag: str = "ul") -> Element:
    """A list; an item is a node or several."""
    parts = [[item] if isinstance(item, Element | str) else item for item in items]
    return element(tag, *(element("li", *part) for part in parts))


def name_of(text: str) -> Element:
    """A name out of the data (label, source), which may break after its underscores and the like."""
    parts = _JOINTS.split(text)
    broken = [node for part in parts for node in (part, element("wbr"))][:-1]
    return element("span", *broken, class_="name", dir="auto")


def facts(pairs: Iterable[tuple[str, Node]]) -> Element:
    """Names with values, side by side."""
    return element(
        "dl", *(element("div", element("dt", name), element("dd", value)) for name, value in pairs), class_="facts"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[Node]], numbers: Collection[int] = ()) -> Element:
    """A table that scrolls sideways where it does not fit.

    Args:
        numbers: Columns (from 0) that hold numbers and are set flush right.
    """

    def cells(tag: str, row: Sequence[Node]) -> list[Element]:
        return [
            element(tag, cell, class_="num" if at in numbers else None, scope="col" if tag == "th" else None)
            for at, cell in enumerate(row)
        ]

    body = [element("tr", *cells("td", row)) for row in rows]
    return element(
        "div",
        element("table", element("thead", element("tr", *cells("th", head))), element("tbody", *body)),
        class_="scroll",
    )


def details(summary: Node, *children: Node | None, is_open: bool = False) -> Element:
    """Something to unfold; printed unfolded."""
    return element("details", element("summary", summary), *children, open="open" if is_open else None)


def figure(caption: str, *children: Node | None, note: str | None = None) -> Element:
    """A chart with its caption above and a remark below."""
    return element("figure", element("figcaption", caption), *children, element("p", soft(note)) if note else None)
