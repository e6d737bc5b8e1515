from __future__ import annotations

import base64
import hashlib
import re

from hypothesis import given

from ftcore.html import page
from ftcore.html.elements import paragraph
from tests.html.reading import UNSHOWN, read
from tests.html.test_elements import ANY


@given(ANY)
def test_whatever_it_says_the_page_has_the_same_elements(text: str) -> None:
    made = page(text, paragraph(text), text)
    assert read(made).outline == read(page("x", paragraph("x"), "x")).outline
    assert not UNSHOWN.search(made)


def test_the_policy_lets_in_our_own_style_and_nothing_else() -> None:
    made = page("t")
    style = re.findall(r"<style>(.*?)</style>", made, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style[0].encode()).digest()).decode()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', made)
    assert len(style) == 1
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_nothing_is_loaded() -> None:
    assert not re.search(r"https?:|url\(|@import|src=|<script", page("t"))


def test_the_page_knows_the_dark_and_paper() -> None:
    made = page("t")
    assert "@media (prefers-color-scheme: dark)" in made
    assert "@media print" in made
    assert '<html lang="en">' in made
