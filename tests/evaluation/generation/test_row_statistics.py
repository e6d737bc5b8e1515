from __future__ import annotations

import re
import string
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.helpers import extract_all_char_ngrams

from ftcore.evaluation.generation.row_statistics import (
    bleu_statistics,
    chrf_statistics,
    rouge_n,
    token_f1,
    words,
)


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
    found = rouge_n([words("the cat the cat"), words("cat")], [words("the cat"), words("cat")], 2)
    assert found.tolist() == pytest.approx(np.array([[2 * 2 / 6, 2 * 1 / 4], [1.0, 0.0]]))


TEXT = st.text(st.sampled_from("ab cé你😀\ud800\n"), max_size=30)


@settings(max_examples=150)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=8))
def test_character_ngrams_are_sacrebleus(pairs: list[tuple[str, str]]) -> None:
    targets, answers = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    for target, answer, row in zip(targets, answers, chrf_statistics(targets, answers), strict=True):
        wanted = []
        for ours, theirs in zip(extract_all_char_ngrams(answer, 6), extract_all_char_ngrams(target, 6), strict=True):
            wanted += [ours.total() if theirs else 0, theirs.total(), (ours & theirs).total()]
        assert row.tolist() == wanted


@settings(max_examples=100)
@given(st.lists(st.tuples(ASCII, ASCII | st.just("don't, 3.5% &amp; x")), min_size=1, max_size=8))
def test_word_ngrams_are_sacrebleus(pairs: list[tuple[str, str]]) -> None:
    targets, answers = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    for target, answer, row in zip(targets, answers, bleu_statistics(targets, answers), strict=True):
        score = BLEU(effective_order=True).sentence_score(answer, [target])
        assert row.tolist() == [score.sys_len, score.ref_len, *score.counts, *score.totals]
