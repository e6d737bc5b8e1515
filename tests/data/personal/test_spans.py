from __future__ import annotations

import re
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from ftcore.data.personal import KINDS, PersonalSpan, find_personal, redact
from ftcore.data.personal.spans import add_spans, merge_spans


def words_of(*names: str) -> object:
    """An engine that finds these words wherever they are, and calls them a person."""

    def find(text: str) -> Iterable[PersonalSpan]:
        return [
            PersonalSpan(start, start + len(name), "person")
            for name in names
            for start in range(len(text))
            if text.startswith(name, start)
        ]

    return find


def test_built_in_hits_come_first_and_the_rest_of_an_overlap_is_kept() -> None:
    text = "Ann Lee ann@example.org 555"
    found = [PersonalSpan(8, 23, "email")]
    assert add_spans(text, found, [PersonalSpan(0, 27, "person")]) == [
        PersonalSpan(0, 7, "person"),
        PersonalSpan(8, 23, "email"),
        PersonalSpan(24, 27, "person"),
    ]
    assert add_spans(text, found, [PersonalSpan(8, 12, "person"), PersonalSpan(23, 24, "person")]) == found


def test_other_kinds_come_after_ours_in_an_overlap() -> None:
    assert merge_spans([PersonalSpan(0, 4, "person"), PersonalSpan(2, 6, "phone")]) == [PersonalSpan(0, 6, "phone")]


def test_masks_are_left_alone_so_redacting_ends() -> None:
    find = words_of("Ann", "PERSON", "EMAIL", "e")
    assert redact("Ann: ann@example.org", more=find) == "[PERSON]: [EMAIL]"  # type: ignore[arg-type]


def test_kinds_of_ours_that_nobody_asked_for_are_not_added() -> None:
    more = lambda text: [PersonalSpan(0, 3, "phone"), PersonalSpan(4, 7, "person")]  # noqa: E731
    assert find_personal("123 Ann", kinds=["email"], more=more) == [PersonalSpan(4, 7, "person")]


@given(
    st.text(alphabet="ab [PERSON]@.de1", max_size=40),
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12), st.sampled_from([*KINDS, "person"])), max_size=6),
)
def test_nothing_overlaps_and_nothing_asked_for_is_left_in_the_open(
    text: str, places: list[tuple[int, int, str]]
) -> None:
    more = [
        PersonalSpan(start, min(len(text), start + size), kind) for start, size, kind in places if start < len(text)
    ]
    found = find_personal(text)
    spans = add_spans(text, found, more)
    assert set(found) <= set(spans)
    assert all(one.end <= other.start for one, other in zip(spans, spans[1:], strict=False))
    covered = {place for span in spans for place in range(span.start, span.end)}
    masks = re.sub(r"\[[A-Z][A-Z0-9_]*\]", lambda mask: "x" * len(mask[0]), text)
    for span in more:
        for place in range(span.start, span.end):
            assert place in covered or not text[place].isalnum() or masks[place] == "x"
