from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.evaluation.llm_judge.protocol import merge, messages, prompt_digest, read_verdict, request_body, swapped
from tests.evaluation.llm_judge.judge_server import answers

CHOICES = ["A", "B", "tie"]


@pytest.mark.parametrize("choice", CHOICES)
def test_one_object_with_one_verdict_counts(choice: str) -> None:
    assert read_verdict(json.dumps({"verdict": choice})) == choice
    assert read_verdict(f' \n{{"verdict":"{choice}"}}\n') == choice


@pytest.mark.parametrize(
    "reply",
    [
        "", "A", '"A"', '["A"]', '[["verdict", "A"]]', '{"verdict": "C"}', '{"verdict": "a"}', '{"verdict": ["A"]}',
        '{"verdict": {"verdict": "A"}}', '{"verdict": null}', '{"verdict": "A", "why": "x"}', '{"verdict": "A", "verdict": "B"}',
        '{"verdict": "A", "verdict": "A"}', 'Sure: {"verdict": "A"}', '{"verdict": "A"}\n{"verdict": "A"}', "```\n{}\n```",
        '```json\n{"verdict": "A"}\n```', '{"verdict": "A"', '{"Verdict": "A"}', '{"verdict": "A"}' + " " * 300, "[" * 199,
        '\ufeff{"verdict": "A"}', "NaN",
    ],
)  # fmt: skip
def test_anything_else_is_no_verdict(reply: str) -> None:
    assert read_verdict(reply) is None


@given(st.text(max_size=60))
def test_no_text_around_a_verdict_makes_it_count(text: str) -> None:
    for reply in (text + '{"verdict": "A"}', '{"verdict": "A"}' + text):
        assert read_verdict(reply) == ("A" if not text.strip(" \t\n\r") else None)


def test_verdicts_on_both_orders_become_one_or_a_tie() -> None:
    assert [merge(*both) for both in (("A", "B"), ("B", "A"), ("tie", "tie"))] == ["A", "B", "tie"]
    assert {merge(*both) for both in (("A", "A"), ("B", "B"), ("A", "tie"), ("tie", "B"))} == {"tie"}
    assert merge(None, "A") is None and merge("A", None) is None
    assert [swapped(choice) for choice in CHOICES] == ["B", "A", "tie"]


@given(st.text(), st.text(), st.text())
def test_texts_stand_whole_between_marks_that_none_of_them_holds(asked: str, a: str, b: str) -> None:
    system, user = (turn["content"] for turn in messages(asked, a, b, "short {is} good"))
    assert answers(system, user) == (a, b)
    assert "short {is} good" in system and asked in user


def test_every_request_has_a_mark_of_its_own_and_a_prompt_one_digest() -> None:
    marks = {re.findall(r"mark ([0-9a-f]{24}) was", messages("q", "a", "b", "c")[0]["content"])[0] for _ in range(50)}
    assert len(marks) == 50
    assert prompt_digest("c") == prompt_digest("c") != prompt_digest("d")


def test_no_tools_are_offered() -> None:
    assert set(request_body("m", messages("q", "a", "b", "c"), 64)) == {
        "model",
        "messages",
        "temperature",
        "max_tokens",
    }
