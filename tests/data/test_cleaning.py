from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.data.cleaning import clean_lines, clean_text, is_broken, normalise_for_match


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("  two\t spaces \n", "two spaces"),
        ("HÃ©llo, Iâ€™m here", "Héllo, I’m here"),
        ("e\u0301te\u0301", "été"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("joined\u200d up", "joined up"),
        ("bell\x07 and \x00nul", "bell and nul"),
        ("colour \x1b[31mred\x1b[0m", "colour red"),
        ("a &amp; b", "a & b"),
        ("family \U0001f468\u200d\U0001f469\u200d\U0001f467", "family \U0001f468\u200d\U0001f469\u200d\U0001f467"),
    ],
)
def test_clean_text(dirty: str, clean: str) -> None:
    assert clean_text(dirty) == clean


@given(st.text())
def test_cleaning_leaves_nothing_to_clean(text: str) -> None:
    cleaned = clean_text(text)
    assert cleaned == cleaned.strip()
    assert unicodedata.is_normalized("NFC", cleaned)
    assert not any(unicodedata.category(char) == "Cc" for char in cleaned)


def test_conversations_keep_lines_and_indentation() -> None:
    assert clean_lines("  if x:\r\n\t  y\u200b()\n\n# cafÃ©\x07 ") == "if x:\n\t  y()\n\n# café"


@given(st.text())
def test_lines_are_the_only_controls_left(text: str) -> None:
    cleaned = clean_lines(text)
    assert not any(unicodedata.category(char) == "Cc" for char in cleaned if char not in "\n\t")
    assert cleaned == cleaned.strip()


def test_lost_bytes_are_broken() -> None:
    assert is_broken("caf\ufffd")
    assert not is_broken("café 😀")


@pytest.mark.parametrize(
    "twin",
    [
        "  WHERE is MY order?!",
        "Where is my order",
        "where, is my\u200b order",
        "Ｗｈｅｒｅ is my order…",
        "where is my\norder",
    ],
)
def test_twins_match(twin: str) -> None:
    assert normalise_for_match(twin) == normalise_for_match("Where is my order?")


def test_different_texts_do_not_match() -> None:
    texts = ["where is my order", "where is my other", "?!", "...", "5 €", "5 $", "can't", "cant do"]
    assert len({normalise_for_match(text) for text in texts}) == len(texts)
    assert normalise_for_match("I can't") == normalise_for_match("i cant")


@given(st.text())
def test_matching_form_is_stable(text: str) -> None:
    assert normalise_for_match(text.upper().lower()) is not None
    once = normalise_for_match(text)
    assert once == once.strip()
    assert "  " not in once


@given(st.text())
def test_matching_form_is_idempotent(text: str) -> None:
    once = normalise_for_match(text)
    assert normalise_for_match(once) == once


latin = st.text(alphabet="abcdefghijklmnopqrstuvwxyzéüñß 0123456789", min_size=1)


@given(latin, st.sampled_from("?!.,;:…"), st.integers(0, 40))
def test_case_width_and_punctuation_do_not_matter(text: str, mark: str, place: int) -> None:
    form = normalise_for_match(text)
    wide = "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)
    assert normalise_for_match(text.upper()) == form
    assert normalise_for_match(wide) == form
    if form:
        assert normalise_for_match(f"{text[:place]} {mark} {text[place:]}") == normalise_for_match(
            f"{text[:place]} {text[place:]}"
        )
