"""Text from data inside Markdown pages, as a renderer of Markdown takes it."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ftcore.evaluation.markdown import escape

RENDER = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render
MARKS = st.text(st.sampled_from("ab1 _*~`[]()<>!#|&\\\"':/.-+=\n"), max_size=40)


def rendered(text: str) -> str:
    """What stands in a reason's place in the page."""
    found = RENDER(f"- because {escape(text)} of that\n")
    return re.sub(r"\s+", " ", found).strip()


@given(st.one_of(MARKS, st.text(max_size=60)))
@example("_a_ __b__ a_b _c a_ _")
@example("[x](javascript:alert(1)) ![i](u) <img src=x onerror=y>")
@example("`c` ~~d~~ **e** &lt;script&gt;")
@example("a|b\n# head\n- item\n\n    code")
def test_it_stays_text(text: str) -> None:
    page = rendered(text)
    assert re.fullmatch(r"<ul> <li>[^<>]*</li> </ul>", page), page


@given(MARKS)
def test_in_a_cell_it_stays_one_cell(text: str) -> None:
    page = RENDER(f"| a | b |\n| --- | --- |\n| {escape(text)} | last |\n")
    assert page.count("<td>") == 2 and "<td>last</td>" in page, page


def test_people_can_read_it_as_it_is() -> None:
    plain = "macro_f1 of source='email' is 0.94 (0.92 to 0.96), wanted \"more\""
    assert escape(plain) == plain
    assert html.unescape(rendered("macro_f1 (low)")) == "<ul> <li>because macro_f1 (low) of that</li> </ul>"


@pytest.mark.parametrize("text", ["\x1b[31m", "\u202e", "\x00"])
def test_control_characters_go(text: str) -> None:
    assert escape(text).startswith("�")


def test_long_text_is_cut() -> None:
    assert len(escape("a" * 5_000)) == 801
