"""What teaches the base model to copy, and how its copying is measured."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.make_base_model.copying import QUESTIONS, copied
from scripts.make_base_model.drills import (
    FIRST_SPECIAL,
    HELD_OUT,
    KNOWN,
    echo,
    lookup,
    nonsense,
    number,
    repeated_tokens,
)
from scripts.make_base_model.tokenizer import train_tokenizer

WORDS = ["apple", "river", "stone"]


@given(st.integers(0, 10_000))
def test_an_echo_holds_its_answer_and_a_table_the_row_that_is_asked_for(seed: int) -> None:
    asked, answer = echo(random.Random(seed), WORDS)
    assert answer in asked
    asked, answer = lookup(random.Random(seed), WORDS)
    rows, question = asked.rsplit("\n", 1)
    assert answer in rows
    key = answer.replace(":", " ").split()[0]
    assert key in question


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 5), st.integers(40, 200), st.integers(0, 1000))
def test_repeated_tokens_can_be_known_where_they_are_learned(count: int, length: int, seed: int) -> None:
    blocks, labels = repeated_tokens(count, length, 500, torch.Generator().manual_seed(seed))
    assert blocks.shape == labels.shape == (count, length)
    learned = labels != -100
    assert torch.equal(blocks[learned], labels[learned]) and ((blocks >= FIRST_SPECIAL) & (blocks < 500)).all()
    for block, own in zip(blocks.tolist(), learned.tolist(), strict=True):
        assert not own[0]
        # the token that is learned stands already somewhere before it
        assert all(block[place] in block[:place] for place in range(length) if own[place])


def test_words_of_the_copying_test_are_made_of_other_letters() -> None:
    assert not set(KNOWN) & set(HELD_OUT)
    rng = random.Random(1)
    assert not set(nonsense(rng)) & set(HELD_OUT) and len(number(rng, 5)) == 5


class Oracle:
    """A language model that knows the whole text that is asked of it, but for one wrong token in every `wrong`-th text."""

    def __init__(self, entries: int, wrong: int) -> None:
        self.entries, self.wrong, self.num_asked = entries, wrong, 0

    def eval(self) -> None: ...

    def __call__(self, input_ids: torch.Tensor) -> Any:
        following = torch.cat([input_ids[:, 1:], input_ids[:, :1]], 1)
        self.num_asked += 1
        if self.num_asked % self.wrong == 0:
            following[0, -2] += 1
        return SimpleNamespace(logits=torch.nn.functional.one_hot(following, self.entries + 1).float())


def test_copying_counts_answers_that_are_right_to_the_last_token() -> None:
    tokenizer = train_tokenizer(["a b c"], 300)
    assert set(copied(Oracle(len(tokenizer), 10**6), tokenizer, 1, 4).values()) == {1.0}
    shares = copied(Oracle(len(tokenizer), 2), tokenizer, 1, 4)
    assert len(shares) == len(QUESTIONS) and set(shares.values()) == {0.5}
