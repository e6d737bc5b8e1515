from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ftcore.data.personal.examples import mask_personal, show


@given(st.text(max_size=400))
def test_examples_are_short_and_all_of_them_can_be_seen(text: str) -> None:
    shown = show(text)
    assert len(shown) <= 200
    assert shown.isprintable()


def test_examples_show_the_invisible_and_hide_the_personal() -> None:
    assert show("pass\u200bword") == "pass\\u200bword"
    hidden = show("mail jo.doe@example.org or +44 20 7946 0958, card 4111-1111-1111-1111")
    assert not any(part in hidden for part in ("jo.doe", "0958", "1111"))
    assert "abcdefghij" not in (masked := mask_personal("key sk_live_abcdefghij0123456789 for 12 items"))
    assert masked.endswith("for 12 items")
    assert show(None) == "(nothing)"
