"""HTML to text: what a reader of the page would see. Text that only looks like HTML ("a < b", "<3") stays."""

from __future__ import annotations

import html
import re

# Names of HTML elements that turn up in text; anything else in angle brackets is the writer's own ("<name>", "x<y").
_BLOCKS = (
    "address|article|aside|blockquote|body|br|caption|center|dd|details|div|dl|dt|fieldset|figcaption|figure|footer|form|h1|h2|h3|h4"
    "|h5|h6|head|header|hr|html|legend|li|main|nav|ol|option|p|pre|rp|rt|section|summary|table|tbody|td|tfoot|th|thead|title|tr|ul"
)
_INLINE = (
    "a|abbr|acronym|audio|b|bdi|bdo|big|button|canvas|cite|code|col|colgroup|data|del|dfn|em|embed|font|i|iframe|img|input|ins|kbd"
    "|label|link|map|mark|meta|meter|noscript|object|picture|progress|q|ruby|s|samp|script|select|small|source|span|strike|strong"
    "|style|sub|sup|svg|template|textarea|time|track|tt|u|var|video|wbr"
)
_UNSEEN = ("script", "style", "template", "noscript", "iframe", "object", "svg", "head")
_NAMES = f"{_BLOCKS}|{_INLINE}"
_TAG = re.compile(rf"</?(?:{_NAMES})(?=[\s/>])[^<>]*>|<!--|<!doctype\b", re.IGNORECASE)
_NO_TAG = re.compile(rf"<(?!/?(?:{_NAMES})(?=[\s/>])[^<>]*>|!--|!doctype\b)", re.IGNORECASE)
_BLOCK_TAG = re.compile(rf"</?(?:{_BLOCKS})(?=[\s/>])[^<>]*>", re.IGNORECASE)
_BLANK_LINES = re.compile(r"\n\s*\n")
_MAX_TAGS = 5_000
_ENTITY = re.compile(r"&(?:[a-zA-Z][a-zA-Z0-9]{1,30}|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});")


def html_to_text(text: str) -> str:
    """Tags away, entities as characters, `<script>` and the like with all they hold dropped, blocks on lines of their own.

    Parsed as browsers do (lexbor). Text without a known tag is returned as it is, entities decoded once.
    """
    if not _TAG.search(text):
        return _ENTITY.sub(lambda match: html.unescape(match.group()), text)
    from selectolax.lexbor import LexborHTMLParser

    escaped = _NO_TAG.sub("&lt;", text)
    # Lexbor needs quadratic time for blocks nested thousands deep; text like that gets line breaks in their place.
    blocks = r"\n\g<0>\n" if escaped.count("<") <= _MAX_TAGS else r"\n"
    tree = LexborHTMLParser(_BLOCK_TAG.sub(blocks, escaped))
    tree.strip_tags(list(_UNSEEN), recursive=True)
    seen = tree.body.text() if tree.body else ""
    return _BLANK_LINES.sub("\n", seen).strip("\n")
