"""What teaches the base model to copy, and how its copying is measured."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st

from scripts.make_base_model.copying import QUESTIONS, copied
from scripts.make_base_model.drills import (
    HELD_OUT,
    KNOWN,
    echo,
    lookup,
    nonsense,
    number,
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
