from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.html.elements import details, element, facts, is_relative, link, name_of, table, to_html, visible
from tests.html.reading import UNSHOWN, read

HOSTILE = (
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "' onmouseover='x", "]]>", "{{7*7}}", "<!--", "</main>",
    "a\0b", "\ud800", "\u202egnp.exe", "\u2028", "&lt;b&gt;", "&#0;", "</style><b>",
)  # fmt: skip
ANY = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=()), max_size=40))


@given(ANY)
def test_text_and_attributes_come_out_as_they_went_in_but_visible(text: str) -> None:
    seen = read(to_html(element("p", text, title=text)))
    assert seen.outline == [("p", ("title",))]
    assert "".join(seen.text) == visible(text)
    assert seen.values == [visible(text)]


@given(ANY)
def test_nothing_unshown_is_left(text: str) -> None:
    assert not UNSHOWN.search(visible(text))
    assert visible(text).isprintable()
    visible(text).encode()  # no lone surrogate is left


@given(ANY)
def test_names_may_break_but_keep_their_letters(text: str) -> None:
    assert "".join(read(to_html(name_of(text))).text) == visible(text)


def test_invisible_characters_are_written_as_escapes() -> None:
    assert visible("a\u202eb\0c\ud800") == "a\\u202eb\\x00c\\ud800"
    assert visible("naïve 日本 🙂") == "naïve 日本 🙂"


@pytest.mark.parametrize("tag", ["script", "style", "iframe", "img", "a b", "p>", ""])
def test_elements_that_run_or_load_are_not_made(tag: str) -> None:
    with pytest.raises(AssertionError):
        element(tag)


@pytest.mark.parametrize("attribute", ["onclick", "src", "style", "x y"])
def test_attributes_that_run_or_load_are_not_made(attribute: str) -> None:
    with pytest.raises(AssertionError):
        element("p", **{attribute: "1"})


@pytest.mark.parametrize(
    ("address", "good"),
    [
        ("docs/index.html", True),
        ("#finding-3", True),
        ("https://example.org", False),
        ("javascript:alert(1)", False),
        ("//example.org", False),
        ("/etc/passwd", False),
        ("../up.html", False),
        ("data:text/html,x", False),
    ],
)
def test_links_stay_beside_the_page(address: str, good: bool) -> None:
    assert is_relative(address) is good
    if not good:
        with pytest.raises(AssertionError, match="leaves the folder"):
            link("x", address)


def test_tables_facts_and_details() -> None:
    markup = to_html(table(["row", "n"], [["a", "1"]], numbers=[1]))
    assert '<th class="num" scope="col">n</th>' in markup
    assert '<td>a</td><td class="num">1</td>' in markup
    assert to_html(facts([("rows", "3")])) == '<dl class="facts"><div><dt>rows</dt><dd>3</dd></div></dl>'
    assert to_html(details("more", "text", is_open=True)).startswith('<details open="open"><summary>more</summary>')
    assert to_html(element("br")) == "<br>"
    assert to_html(element("p", None, "x", class_=None)) == "<p>x</p>"
