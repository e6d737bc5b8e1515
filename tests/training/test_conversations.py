"""What of a conversation is learnt, and what is left of one that is too long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.errors import BaseModelError
from ftcore.training.conversations import IGNORED, encode, encode_prompt, window
from tests.tiny_families import TEMPLATE, letter_tokenizer

TOKENIZER = letter_tokenizer(chat=True)
CHAT = [
    {"role": "system", "content": "be kind"},
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "hello"},
    {"role": "user", "content": "card lost"},
    {"role": "assistant", "content": "sorry"},
]


def learnt(loss_on: str, max_length: int = 200) -> str:
    row = encode(TOKENIZER, CHAT, max_length, loss_on)
    assert all(label in (IGNORED, token) for token, label in zip(row.input_ids, row.labels, strict=True))
    return "".join(TOKENIZER.convert_ids_to_tokens([label for label in row.labels if label != IGNORED]))


def test_the_end_of_the_answer_is_learnt_and_the_question_is_not() -> None:
    assert learnt("answer") == "sorry</s>"
    assert learnt("assistant") == "hello</s>sorry</s>"
    assert learnt("all") == (
        "<s><|system|>be kind</s><|user|>hi</s><|assistant|>hello</s><|user|>card lost</s><|assistant|>sorry</s>"
    )


def test_the_prompt_is_the_beginning_of_the_row() -> None:
    whole, prompt = encode(TOKENIZER, CHAT, 200).input_ids, encode_prompt(TOKENIZER, CHAT)
    assert whole[: len(prompt)] == prompt
    assert TOKENIZER.convert_ids_to_tokens(prompt[-1]) == "<|assistant|>"


def test_a_long_question_loses_its_beginning() -> None:
    row = encode(TOKENIZER, CHAT, 14)
    assert "".join(TOKENIZER.convert_ids_to_tokens(row.input_ids)) == "<s>d lost</s><|assistant|>sorry</s>"[:3] + (
        " lost</s><|assistant|>sorry</s>"
    )
    assert (row.is_cut, row.answer_is_cut) == (True, False)


def test_an_answer_that_does_not_fit_is_told() -> None:
    long = [*CHAT[:-1], {"role": "assistant", "content": "sorry " * 20}]
    row = encode(TOKENIZER, long, 40)
    assert (len(row.input_ids), row.answer_is_cut) == (40, True)
    assert row.input_ids[0] == TOKENIZER.bos_token_id
    assert sum(label != IGNORED for label in row.labels) == 30


def test_a_template_that_rewrites_earlier_turns_is_refused_where_they_are_learnt() -> None:
    tokenizer = letter_tokenizer(chat=True)
    tokenizer.chat_template = "{{ messages | length }}" + TEMPLATE
    with pytest.raises(BaseModelError, match="earlier turns"):
        encode(tokenizer, CHAT, 200, "assistant")


@given(st.integers(1, 400), st.integers(0, 400), st.integers(4, 300))
def test_the_window_keeps_what_fits_and_the_answer_first(num_tokens: int, before: int, max_length: int) -> None:
    before = min(before, num_tokens - 1)
    begin, end = window(num_tokens, before, max_length)
    assert 0 <= begin < end <= num_tokens
    assert end - begin == min(num_tokens, max_length)
    assert begin <= before
    if num_tokens - before <= int(max_length * 0.75):
        assert end == num_tokens
