"""How well a model copies what it cannot know: made-up words and numbers, answered greedily."""

from __future__ import annotations

import random
from typing import Any

import torch

from .drills import HELD_OUT, nonsense, number
from .tokenizer import BOS, EOS

QUESTIONS = (
    ("Repeat: {0} {1} {2}", "{0} {1} {2}"),
    ("Please note down {0}, {1} and {2}.", "Noted: {0}, {1} and {2}."),
    ("{0} has number {1}, {2} has number {3}. Which number has {2}?", "{2} has number {3}."),
)


def copied(model: Any, tokenizer: Any, seed: int, count: int = 100) -> dict[str, float]:
    """Share of `count` answers to each kind of question that are right to the last character, by question.

    The words are built from consonants that no made-up word of the training texts has; the numbers have five digits. One pass
    tells what greedy generation would write: the answer, if and only if each of its tokens is the likeliest after those before.
    """
    shares = {}
    model.eval()
    for question, answer in QUESTIONS:
        rng = random.Random(f"{seed}/copied/{question}")
        right = 0
        for _ in range(count):
            words = [nonsense(rng, HELD_OUT), number(rng, 5), nonsense(rng, HELD_OUT), number(rng, 5)]
            asked = f"{BOS}<|user|>{question.format(*words)}<|end|><|assistant|>"
            right += _is_greedy(model, tokenizer, asked, answer.format(*words) + EOS)
        shares[question.format("foo", "123", "bar", "456")] = right / count
    return shares


def _is_greedy(model: Any, tokenizer: Any, asked: str, answer: str) -> bool:
    before, after = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (asked, answer))
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([before + after])).logits[0]
    likeliest: list[int] = logits[len(before) - 1 : -1].argmax(-1).tolist()
    return likeliest == after
