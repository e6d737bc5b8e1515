from __future__ import annotations

import re
import string
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftcore.evaluation.generation.row_statistics import rouge_n, token_f1, words


def squad_f1(target: str, prediction: str) -> float:
    """As the official script of SQuAD 2.0 describes it, step by step."""

    def tokens(text: str) -> list[str]:
        text = "".join(mark for mark in text.lower() if mark not in set(string.punctuation))
        return re.sub(r"\b(a|an|the)\b", " ", text).split()

    gold, said = tokens(target), tokens(prediction)
    common = sum((Counter(gold) & Counter(said)).values())
    if not gold or not said:
        return float(gold == said)
    if common == 0:
        return 0.0
    precision, recall = common / len(said), common / len(gold)
    return 2 * precision * recall / (precision + recall)


ASCII = st.lists(st.sampled_from(["a", "The", "an", "cat", "cat.", "42", "$5", "-", "a-b", "THE"]), max_size=8).map(
    " ".join
)


@settings(max_examples=150)
@given(ASCII, ASCII)
def test_token_f1_is_squads(target: str, answer: str) -> None:
    assert token_f1(target, answer) == pytest.approx(squad_f1(target, answer), abs=1e-6)


def test_token_f1_drops_punctuation_of_all_scripts() -> None:
    assert token_f1("«Да», сказал он。", "да сказал он") == 1.0
    assert token_f1("...", "the") == 1.0 and token_f1("cat", "the") == 0.0


def test_rouge_counts_a_run_as_often_as_both_have_it() -> None:
    assert rouge_n(words("the cat the cat"), words("the cat"), 1) == pytest.approx(2 * 2 / 6)
    assert rouge_n(words("the cat the cat"), words("the cat"), 2) == pytest.approx(2 * 1 / 4)
    assert rouge_n(words("cat"), words("cat"), 2) == 0.0
