"""Checks of the rows: each says ok, doubt and fault where it should."""

from __future__ import annotations

from typing import Any

import pytest

from ftcore.errors import BaseModelError, DataRefused, UsageError
from ftcore.training import lint
from ftcore.training.conversations import Encoded
from ftcore.training.findings import Finding, refuse_faults
from tests.tiny_families import TEMPLATE, letter_tokenizer, make_chats


def encoded(labels: list[int], *, cut: bool = False) -> Encoded:
    return Encoded([7] * len(labels), labels, is_cut=cut, answer_is_cut=cut)


def test_label_coverage() -> None:
    assert lint.label_coverage(("a", "b"), [0, 1, 1], [0, 1]) == Finding(
        "labels", "ok", "1 to 2 training rows for each of 2 classes"
    )
    assert lint.label_coverage(("a", "b"), [0, 1, 1], [0]).verdict == "doubt"
    fault = lint.label_coverage(("a", "b", "c"), [1, 1], [1])
    assert fault.verdict == "fault" and "2 of 3 classes have no training row: a, c" in fault.message


def test_answers_left() -> None:
    whole, empty = encoded([-100, 5, 3]), encoded([5, -100, -100])  # a first token is never predicted
    assert lint.answers_left([whole], 8) == Finding("answers", "ok", "67% of the tokens are answers to learn")
    assert (
        "1 of 3 rows have none left, 1 lost the end"
        in lint.answers_left([whole, empty, encoded([-100, 5], cut=True)], 8).message
    )
    fault = lint.answers_left([whole, empty, empty], 8)
    assert fault.verdict == "fault" and fault.hint == "--set training.max_length=16"


def test_the_stop_token_is_learnt() -> None:
    ends, newline_after, never = [-100, 5, 3], [-100, 5, 3, 9], [-100, 3, -100, 5, 6]
    assert lint.stop_learnt([ends, newline_after], [False, False], {3}).verdict == "ok"
    assert lint.stop_learnt([ends, never], [False, False], {3}).verdict == "doubt"
    assert lint.stop_learnt([ends, never], [False, True], {3}).verdict == "ok"  # cut by max_length, not by the template
    fault = lint.stop_learnt([never, never], [False, False], {3})
    assert fault.verdict == "fault" and "0 of 2 whole answers" in fault.message


class Joining:
    """The tokenizer of the tests, which decodes letters without spaces between them."""

    def __init__(self, template: str = TEMPLATE) -> None:
        self.inner = letter_tokenizer(chat=True)
        self.inner.chat_template = template
        self.unk_token_id = self.inner.unk_token_id

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.inner(*args, **kwargs)

    def apply_chat_template(self, *args: Any, **kwargs: Any) -> Any:
        return self.inner.apply_chat_template(*args, **kwargs)

    def decode(self, ids: list[int], **kwargs: Any) -> str:
        return "".join(self.inner.convert_ids_to_tokens(ids))


def test_the_round_trip_of_conversations() -> None:
    rows = make_chats(5)
    tokenizer: Any = Joining()
    assert lint.chat_round_trip(tokenizer, rows) == Finding(
        "round trip", "ok", "text to tokens and back is the same for 5 of 5 rows"
    )
    assert "5 of 5 rows do not come back" in lint.chat_round_trip(letter_tokenizer(chat=True), rows).message
    asks_else: Any = Joining(TEMPLATE.replace("{{ '<|assistant|>' }}", "{{ '<|system|>' }}"))
    assert "5 of 5 rows have a prompt whose tokens differ" in lint.chat_round_trip(asks_else, rows).message
    rows[0]["messages"][1]["content"] = "é"
    assert "1 of 5 rows hold characters" in lint.chat_round_trip(tokenizer, rows).message
    rows[0]["completion"] = "é"
    assert "1 of 5 rows hold characters" in lint.text_round_trip(tokenizer, rows).message


@pytest.mark.parametrize(
    ("check", "error"), [("labels", DataRefused), ("stop", BaseModelError), ("memory", UsageError)]
)
def test_all_faults_are_in_one_error_of_the_first_ones_kind(check: str, error: type[Exception]) -> None:
    refuse_faults([Finding(check, "ok", "fine"), Finding(check, "doubt", "hm")])
    faults = [Finding(check, "fault", "one", "do this"), Finding("answers", "fault", "two", "do that")]
    with pytest.raises(error, match="2 faults") as caught:
        refuse_faults([Finding("padding", "ok", "fine"), *faults])
    assert caught.value.details == (f"{check}: one", "answers: two")  # type: ignore[attr-defined]
    assert caught.value.hint == "do this; do that"  # type: ignore[attr-defined]
