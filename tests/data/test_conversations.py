from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.data.conversations import (
    READERS,
    TURN_MARK,
    Malformed,
    check_messages,
    detect_formats,
    generation_row,
    to_alpaca,
    to_messages,
    to_prompt_completion,
    to_sharegpt,
    to_turns,
)
from ftcore.errors import UsageError
from ftcore.spec import ColumnsSpec

WRITERS = {
    "messages": to_messages,
    "prompt_completion": to_prompt_completion,
    "alpaca": to_alpaca,
    "sharegpt": to_sharegpt,
    "turns": to_turns,
}
CONTENT = st.text(min_size=1, max_size=40).filter(lambda text: bool(text.strip()))
TOOLS = st.lists(CONTENT, max_size=2)


def turn(role: str, content: Any = "x") -> dict[str, Any]:
    return {"role": role, "content": content}


@st.composite
def conversations(draw: st.DrawFn, max_rounds: int = 3, tools: bool = True) -> list[dict[str, str]]:
    messages = [turn("system", draw(CONTENT))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, max_rounds))):
        messages += [turn("user", draw(CONTENT)), turn("assistant", draw(CONTENT))]
        if tools and (answers := draw(TOOLS)):
            messages += [*(turn("tool", answer) for answer in answers), turn("assistant", draw(CONTENT))]
    return messages


@pytest.mark.parametrize("name", ["messages", "prompt_completion", "sharegpt"])
@given(messages=conversations())
def test_what_is_written_is_read_back(name: str, messages: list[dict[str, str]]) -> None:
    row = generation_row(check_messages(messages))
    assert generation_row(READERS[name](WRITERS[name](row))) == row


@given(messages=conversations(max_rounds=1, tools=False))
def test_alpaca_holds_one_question_and_its_answer(messages: list[dict[str, str]]) -> None:
    row = generation_row(messages)
    assert generation_row(READERS["alpaca"](to_alpaca(row))) == row


@given(messages=conversations(tools=False))
def test_turns_are_read_back_up_to_white_space(messages: list[dict[str, str]]) -> None:
    if any(TURN_MARK.search(item["content"]) for item in messages):
        return
    stripped = [turn(item["role"], item["content"].strip()) for item in messages]
    assert READERS["turns"](to_turns(generation_row(messages))) == stripped


def test_a_row_has_prompt_and_answer() -> None:
    row = generation_row(
        [turn("system", "s"), turn("user", "q"), turn("assistant", "a"), turn("user", "r"), turn("assistant", "b")]
    )
    assert (row["text"], row["completion"]) == ("s\nq\na\nr", "b")


@pytest.mark.parametrize(
    ("messages", "seen"),
    [
        (None, "saw nothing"),
        ([], "saw an empty list"),
        ("hi", "saw a str"),
        ([turn("user")], "saw a user turn last"),
        ([turn("assistant")], "saw an assistant turn first"),
        ([turn("user"), turn("user"), turn("assistant")], r"saw a user turn after user \(turn 2\), wanted assistant"),
        ([turn("user"), turn("assistant"), turn("assistant")], "saw an assistant turn after assistant"),
        ([turn("user"), turn("system"), turn("assistant")], "saw a system turn after user"),
        ([turn("user"), turn("tool"), turn("assistant")], "saw a tool turn after user"),
        ([turn("user"), turn("assistant", " \n")], r"saw an empty assistant turn \(turn 2\)"),
        ([turn("user"), turn("assistant", None)], "saw nothing as content of turn 2"),
        ([turn("user", [{"type": "text"}]), turn("assistant")], "saw a list as content of turn 1"),
        ([turn("developer"), turn("user")], "saw the role 'developer' in turn 1, wanted one of system, user"),
        ([turn("user"), {**turn("assistant"), "tool_calls": [{}]}], "saw the keys 'tool_calls' in turn 2"),
        (["user: hi"], "saw a str as turn 1"),
    ],
)
def test_malformed_conversations(messages: Any, seen: str) -> None:
    with pytest.raises(Malformed, match=seen):
        check_messages(messages)


def test_absent_keys_of_parquet_are_no_fault() -> None:
    assert check_messages([{**turn("user"), "name": None}, turn("assistant")]) == [turn("user"), turn("assistant")]


@pytest.mark.parametrize(
    ("name", "raw", "seen"),
    [
        ("prompt_completion", {"prompt": "a", "completion": [turn("assistant")]}, "two texts or two lists"),
        ("prompt_completion", {"prompt": "a", "completion": ""}, "empty assistant turn"),
        ("alpaca", {"instruction": "", "input": "x", "output": "y"}, "empty user turn"),
        ("alpaca", {"instruction": "a", "input": 3, "output": "y"}, "saw a int as input"),
        ("sharegpt", {"conversations": [{"from": "alien", "value": "x"}]}, "the role 'alien'"),
        ("sharegpt", {"conversations": [{"from": "gpt", "value": "x"}]}, "assistant turn first"),
        ("sharegpt", {"conversations": [{"value": "x"}]}, "wanted an object with from and value"),
        ("turns", {"text": "hello ### Human: hi"}, "text before the first turn"),
        ("turns", {"text": "### Human: hi"}, "user turn last"),
    ],
)
def test_malformed_rows_of_other_formats(name: str, raw: dict[str, Any], seen: str) -> None:
    with pytest.raises(Malformed, match=seen):
        READERS[name](raw)


def test_shapes_seen_in_the_wild() -> None:
    assert (
        READERS["alpaca"]({"instruction": "Sum up.", "input": "A b.", "output": "B."})[0]["content"]
        == "Sum up.\n\nA b."
    )
    assert READERS["turns"]({"text": "### Human: hi### Assistant: yo"}) == [turn("user", "hi"), turn("assistant", "yo")]
    system = READERS["sharegpt"](
        {"system": "be kind", "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}
    )
    assert system[0] == turn("system", "be kind")


def test_what_a_format_cannot_hold() -> None:
    long = generation_row([turn("user"), turn("assistant"), turn("user"), turn("assistant")])
    with pytest.raises(UsageError, match="saw 4 turns"):
        to_alpaca(long)
    with pytest.raises(UsageError, match="a tool turn"):
        to_turns(generation_row([turn("user"), turn("assistant"), turn("tool"), turn("assistant")]))
    with pytest.raises(UsageError, match="inside a turn"):
        to_turns(generation_row([turn("user", "say ### Human: now"), turn("assistant")]))


def test_formats_are_told_from_columns() -> None:
    mapping = ColumnsSpec(text="question").model_dump()

    def fits(columns: list[str], text: str = "") -> list[str]:
        return detect_formats(columns, [{"question": text}], mapping, ["classification", *READERS])

    assert fits(["question", "label"], "### Human: x") == ["classification"]
    assert fits(["question"], "### Human: x") == ["turns"]
    assert fits(["question"], "x") == []
    assert fits(["instruction", "output"]) == ["alpaca"]
    assert fits(["messages", "prompt", "completion"]) == ["messages", "prompt_completion"]
