from __future__ import annotations

import pytest

from ftcore.data.leakage import Leak, find_leaks
from ftcore.data.leakage.targets import TargetInPrompt

RULE = ["target_in_prompt"]


@pytest.mark.parametrize(
    "text",
    [
        "where is it? card_arrival",
        "where is it? [card arrival]",
        "Intent: card arrival. Where is it?",
        "card arrival: where is it",
        "where is it\ncard_arrival",
        "__label__card_arrival where is it",
        "label=card_arrival;where is it",
    ],
)
def test_a_label_that_nobody_would_write_is_found(text: str) -> None:
    assert TargetInPrompt([]).gives_away({"text": text, "label": "card_arrival"})


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("I want a refund", "refund"),
        ("tell me about card arrival please", "card_arrival"),
        ("the answer is no", "yes"),
        ("my age is 17", "age_limit"),
        ("", "refund"),
    ],
)
def test_plain_words_are_no_leak(text: str, label: str) -> None:
    assert not TargetInPrompt([]).gives_away({"text": text, "label": label})


def test_completions() -> None:
    finder = TargetInPrompt([])
    answer = "the order left our warehouse on monday and will be with you within three working days"
    assert finder.gives_away({"text": f"Question? {answer.upper()}!", "completion": answer})
    assert finder.gives_away({"text": "What is 2+2? Answer: 4", "completion": "4"})
    assert not finder.gives_away(
        {"text": "Paris is the capital of France. What is its capital?", "completion": "Paris"}
    )


def test_rows_of_both_sides_are_told_alone() -> None:
    leaky, clean = {"text": "[refund] hello", "label": "refund"}, {"text": "hello", "label": "refund"}
    assert find_leaks([clean, leaky], [leaky, clean], RULE) == [
        Leak("target_in_prompt", 0, None, 1.0),
        Leak("target_in_prompt", None, 1, 1.0),
    ]


@pytest.mark.timeout(10)
def test_endless_blank_lines_take_linear_time() -> None:
    assert not TargetInPrompt([]).gives_away({"text": "\n" * 300_000 + "x", "label": "card_arrival"})
