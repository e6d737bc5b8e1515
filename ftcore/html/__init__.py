"""Reports as single HTML files: readable offline, without script, everything from outside escaped.

    page("Data of demo", section("Rows", table(["split", "rows"], [["train", "60"]])))

`elements` builds, `charts` draws (inline SVG), `page` makes the document. Plain text given to them is text: only what they built
themselves becomes markup.
"""

from ftcore.html.elements import Element, Node, element
from ftcore.html.page import page

__all__ = ["Element", "Node", "element", "page"]
