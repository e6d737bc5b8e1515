from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.data.markup import html_to_text


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("<p>Hello <b>W</b>orld</p><p>second</p>after", "Hello World\nsecond\nafter"),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("<ul><li>a<li>b</ul>", "a\nb"),
        ("<script>alert(1)</script>hi", "hi"),
        ("<STYLE>p {}</STYLE><p>hi", "hi"),
        ("x <script>alert(1)", "x "),
        ("<!-- note -->text", "text"),
        ("&lt;b&gt; &amp; caf&eacute; & co", "<b> & café & co"),
        ("<b>&lt;script&gt;</b>", "<script>"),
        ('<a href="https://example.org">link</a>, ok', "link, ok"),
    ],
)
def test_what_a_reader_sees(text: str, seen: str) -> None:
    assert html_to_text(text) == seen


@pytest.mark.parametrize(
    "text", ["a < b and c > d", "I <3 you", "if x<y then z>w", "<name>", "List<String>", "AT&T", "<plaintext>", ""]
)
def test_what_only_looks_like_markup_stays(text: str) -> None:
    assert html_to_text(text) == text
    assert html_to_text(f"<b>{text}</b>") == text


@given(st.text())
def test_text_without_brackets_and_ampersands_is_not_touched(text: str) -> None:
    plain = text.replace("<", "").replace("&", "")
    assert html_to_text(plain) == plain


@pytest.mark.parametrize("tag", ["<div>", "<p>", "<b", "<!--", "<rt>", "<script>", "<table>", "<a ", "<"])
def test_hostile_markup_costs_little(tag: str) -> None:
    start = time.monotonic()
    html_to_text(tag * 60_000)
    assert time.monotonic() - start < 5
