"""The document around a report: style inside, nothing loaded, nothing run."""

from __future__ import annotations

import base64
import functools
import hashlib
import html
from pathlib import Path

from ftcore.html.elements import Node, to_html, visible


@functools.cache
def _style() -> tuple[str, str]:
    """The style sheet, and the hash by which the policy lets it in."""
    style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    return style, base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


def page(title: str, *children: Node | None) -> str:
    """One HTML document: light and dark as the reader's system, fit to print, no script and no request to anywhere.

    The Content-Security-Policy allows our own style sheet, by its hash, and nothing else: what escaping might ever miss could
    neither run nor load.
    """
    style, digest = _style()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    body = "".join(to_html(child) for child in children if child is not None)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'
        f"<title>{html.escape(visible(title))}</title><style>{style}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )
