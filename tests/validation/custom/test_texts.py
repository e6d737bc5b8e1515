from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ftcore.validation.custom import texts
from ftcore.validation.custom._base import Observation, RowExpectation
from ftcore.validation.expectations import to_frame
from ftcore.validation.surroundings import Surroundings


def look(expectation: RowExpectation, *values: str | None, **around: Any) -> Observation:
    rows = [{"id": f"r{n}", "text": value, "label": "a"} for n, value in enumerate(values)]
    return expectation.look(to_frame(rows), Surroundings(**around))


GERMAN = "Ich warte seit zwei Wochen auf meine neue Karte und bekomme keine Antwort."
ENGLISH = "I have been waiting two weeks for my new card and nobody answers."


def test_language_is_judged_only_where_it_can_be_told() -> None:
    expectation = texts.ExpectColumnTextLanguageToBeIn(column="text", languages=["en"], mostly=0.5)
    seen = look(expectation, ENGLISH, GERMAN, "Top up?", None)
    assert (seen.rows, seen.num_looked_at, seen.success) == ({1: "language de"}, 2, True)
    stricter = texts.ExpectColumnTextLanguageToBeIn(column="text", languages=["en"], mostly=0.6)
    assert not look(stricter, ENGLISH, GERMAN, "Top up?", "Why?").success  # of two, not of four
    both = texts.ExpectColumnTextLanguageToBeIn(column="text", languages=["de", "en"])
    assert look(both, ENGLISH, GERMAN).success


def test_damage_is_lost_bytes_and_mojibake_but_no_other_script() -> None:
    expectation = texts.ExpectColumnTextToBeUndamaged(column="text")
    seen = look(expectation, "fine", "na\u00efve caf\u00e9", "\u65e5\u672c", "caf\u00c3\u00a9", "lost \ufffd byte")
    assert seen.rows == {3: "mojibake", 4: "lost bytes"}
    only = texts.ExpectColumnTextToBeUndamaged(column="text", kinds=["lost_bytes"])
    assert look(only, "caf\u00c3\u00a9").success


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("pass\u200bword", "zero-width character"), ("\u202egnp.exe", "bidi character"), ("a\x00b", "control character"),
        ("hi \U000e0068\U000e0069", "tag character"), ("pa\u200dy", "zero-width character"),
        ("two\nlines\tand a tab", None), ("\U0001f469\u200d\U0001f680 launch", None),
        ("\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", None),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", None),
    ],
)  # fmt: skip
def test_hidden_characters(text: str, why: str | None) -> None:
    seen = look(texts.ExpectColumnTextToHaveNoHiddenCharacters(column="text"), text)
    assert seen.rows == ({0: why} if why else {})


def test_tokens_are_counted_by_the_base_models_tokenizer(tiny_base: Any) -> None:
    expectation = texts.ExpectColumnTextToFitTokens(column="text", max_tokens=6, mostly=0.5)
    seen = look(expectation, "a", "card " * 30, tokenizer=tiny_base.path)
    assert list(seen.rows) == [1]
    assert seen.success
    assert "50.00% cut off at 6" in str(seen.observed)
    limit = texts.ExpectColumnTextToFitTokens(column="text")
    assert look(limit, "card " * 30, tokenizer=tiny_base.path, max_length=5).rows
    assert look(limit, "a").success is False  # no tokenizer: nothing is proved


def test_repeats_are_found_after_normalising(tmp_path: Path) -> None:
    seen = look(texts.ExpectColumnTextToBeDistinct(column="text"), "Hello there!", "hello  THERE", "hello you", None)
    assert list(seen.rows) == [1]
