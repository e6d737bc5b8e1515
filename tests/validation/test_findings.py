from __future__ import annotations

import json

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from ftcore.validation.findings import Finding, find_rows, show
from ftcore.validation.personal import mask_personal


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


def test_ten_examples_and_all_ids() -> None:
    frame = pd.DataFrame({"id": [f"r{n}" for n in range(30)], "text": ["t"] * 30}, dtype=object)
    found = find_rows(frame, list(range(5, 30)), "text", {"5": "why"})
    assert (found["num_rows"], len(found["row_ids"]), len(found["examples"])) == (25, 25, 10)
    assert (found["examples"][0].id, found["examples"][0].why) == ("r5", "why")


def test_the_file_gets_a_bounded_number_of_ids() -> None:
    finding = Finding("train", "e", "refuse", "r", "s", "n", 20_000, tuple(map(str, range(20_000))))
    plain = finding.to_dict()
    assert (len(plain["row_ids"]), plain["num_rows"]) == (10_000, 20_000)
    json.dumps(plain, allow_nan=False)
