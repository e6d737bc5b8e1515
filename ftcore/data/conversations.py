"""Conversations: five ways to write them down, one shape to work with, and the way back.

A canonical generation row has `messages` (a list of {role, content}), `text` (the contents of all turns but the last, one per
line: what the model is given) and `completion` (the last turn: what it is to learn).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ftcore.data.faults import short_names
from ftcore.errors import UsageError

Message = dict[str, str]
Row = dict[str, Any]
ROLES = ("system", "user", "assistant", "tool")
# What may come before a turn; None is the beginning.
_BEFORE: dict[str, tuple[str | None, ...]] = {
    "system": (None,),
    "user": (None, "system", "assistant"),
    "assistant": ("user", "tool"),
    "tool": ("assistant", "tool"),
}
# ShareGPT was written by many tools; the first name of each role is the one written back.
_SHAREGPT = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "chatgpt": "assistant",
    "bing": "assistant", "bard": "assistant", "model": "assistant", "system": "system", "tool": "tool",
    "function": "tool", "observation": "tool",
}  # fmt: skip
_TO_SHAREGPT = {"user": "human", "assistant": "gpt", "system": "system", "tool": "tool"}
_TURNS = {"Human": "user", "Assistant": "assistant", "System": "system"}
_TO_TURNS = {role: name for name, role in _TURNS.items()}
TURN_MARK = re.compile(r"### ?(Human|Assistant|System)\s*:")


class Malformed(ValueError):
    """A row that is no conversation; the text says what was seen and wanted, and holds no row text."""


def check_messages(messages: Any) -> list[Message]:
    """Turns as plain role and content, checked.

    An optional system turn comes first; user and assistant alternate; tool answers follow an assistant turn; the last turn is
    the assistant's; no turn is empty.

    Raises:
        Malformed: It is no list of such turns.
    """
    if not isinstance(messages, list) or not messages:
        raise Malformed(f"saw {_kind(messages)}, wanted a list of turns")
    checked = [_message(turn, number) for number, turn in enumerate(messages, start=1)]
    before: str | None = None
    for number, turn in enumerate(checked, start=1):
        role = turn["role"]
        if before not in _BEFORE[role]:
            wanted = " or ".join(sorted(name for name, after in _BEFORE.items() if before in after))
            raise Malformed(f"saw {_a(role)} turn {'first' if before is None else f'after {before}'} (turn {number}), "
                            f"wanted {wanted}")  # fmt: skip
        before = role
    if before != "assistant":
        raise Malformed(f"saw {_a(str(before))} turn last, wanted an assistant turn: the answer to learn")
    return checked


def _message(turn: Any, number: int) -> Message:
    if not isinstance(turn, Mapping):
        raise Malformed(f"saw {_kind(turn)} as turn {number}, wanted an object with role and content")
    more = sorted(str(key) for key, value in turn.items() if value is not None and key not in ("role", "content"))
    if more:  # tool calls, images: learning from the rest alone would teach something else
        raise Malformed(f"saw the keys {short_names(more, 4)} in turn {number}, wanted role and content alone")
    role, content = turn.get("role"), turn.get("content")
    if role not in ROLES:
        seen = short_names([role]) if isinstance(role, str) else _kind(role)
        raise Malformed(f"saw the role {seen} in turn {number}, wanted one of {', '.join(ROLES)}")
    if not isinstance(content, str):
        raise Malformed(f"saw {_kind(content)} as content of turn {number}, wanted text")
    if not content.strip():
        raise Malformed(f"saw an empty {role} turn (turn {number}), wanted text")
    return {"role": role, "content": content}


def _a(role: str) -> str:
    return f"an {role}" if role == "assistant" else f"a {role}"


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    return "an empty list" if isinstance(value, list) and not value else f"a {type(value).__name__}"


def generation_row(messages: Sequence[Message]) -> Row:
    """`messages`, `text` and `completion` of checked turns."""
    return {
        "text": "\n".join(turn["content"] for turn in messages[:-1]),
        "completion": messages[-1]["content"],
        "messages": [dict(turn) for turn in messages],
    }


def from_messages(raw: Mapping[str, Any]) -> list[Message]:
    """OpenAI's format: {"messages": [{"role", "content"}, …]}.

    Raises:
        Malformed: See `check_messages`; the same for all readers below.
    """
    return check_messages(raw.get("messages"))


def from_prompt_completion(raw: Mapping[str, Any]) -> list[Message]:
    """{"prompt", "completion"} as texts, or each as a list of turns; an optional system text."""
    prompt, completion = raw.get("prompt"), raw.get("completion")
    if isinstance(prompt, list) != isinstance(completion, list):
        raise Malformed(
            f"saw {_kind(prompt)} as prompt and {_kind(completion)} as completion, wanted two texts or two lists"
        )
    if isinstance(prompt, list) and isinstance(completion, list):
        return check_messages([*_system(raw), *prompt, *completion])
    return check_messages([*_system(raw), _turn("user", prompt), _turn("assistant", completion)])


def from_alpaca(raw: Mapping[str, Any]) -> list[Message]:
    """{"instruction", "input", "output"}: the input, where there is one, follows the instruction after a blank line."""
    question, more = raw.get("instruction"), raw.get("input")
    if isinstance(question, str) and isinstance(more, str) and more.strip():
        question = f"{question}\n\n{more}" if question.strip() else ""
    elif more is not None and not isinstance(more, str):
        raise Malformed(f"saw {_kind(more)} as input, wanted text")
    return check_messages([*_system(raw), _turn("user", question), _turn("assistant", raw.get("output"))])


def from_sharegpt(raw: Mapping[str, Any]) -> list[Message]:
    """{"conversations": [{"from", "value"}, …]} and an optional system text."""
    turns = raw.get("conversations")
    if not isinstance(turns, list):
        raise Malformed(f"saw {_kind(turns)}, wanted a list of turns")
    messages = []
    for number, turn in enumerate(turns, start=1):
        if not isinstance(turn, Mapping) or not isinstance(turn.get("from"), str):
            raise Malformed(f"saw {_kind(turn)} as turn {number}, wanted an object with from and value")
        more = sorted(str(key) for key, value in turn.items() if value is not None and key not in ("from", "value"))
        if more:
            raise Malformed(f"saw the keys {short_names(more, 4)} in turn {number}, wanted from and value alone")
        role = _SHAREGPT.get(turn["from"].lower())
        if role is None:
            raise Malformed(
                f"saw the role {short_names([turn['from']])} in turn {number}, wanted one of {', '.join(_SHAREGPT)}"
            )
        messages.append(_turn(role, turn.get("value")))
    return check_messages([*_system(raw), *messages])


def from_turns(raw: Mapping[str, Any]) -> list[Message]:
    """{"text": "### Human: … ### Assistant: …"}, with `### System:` as an optional first turn. Contents are stripped."""
    text = raw.get("text")
    if not isinstance(text, str):
        raise Malformed(f"saw {_kind(text)}, wanted text with ### Human: and ### Assistant: turns")
    before, *parts = TURN_MARK.split(text)
    if before.strip() or not parts:
        raise Malformed("saw text before the first turn, wanted ### Human: or ### System: first")
    names, contents = parts[::2], parts[1::2]
    return check_messages([_turn(_TURNS[name], content.strip()) for name, content in zip(names, contents, strict=True)])


def _system(raw: Mapping[str, Any]) -> list[Any]:
    system = raw.get("system")
    if system is None or isinstance(system, str) and not system.strip():
        return []
    return [_turn("system", system)]


def _turn(role: str, content: Any) -> Row:
    return {"role": role, "content": content}


def to_messages(row: Row) -> Row:
    """The inverse of `from_messages`: {"messages"}."""
    return {"messages": [dict(turn) for turn in row["messages"]]}


def to_prompt_completion(row: Row) -> Row:
    """The inverse of `from_prompt_completion`: texts for one question and its answer, lists of turns for anything longer."""
    *prompt, completion = [dict(turn) for turn in row["messages"]]
    if [turn["role"] for turn in prompt] == ["user"]:
        return {"prompt": prompt[0]["content"], "completion": completion["content"]}
    return {"prompt": prompt, "completion": [completion]}


def to_alpaca(row: Row) -> Row:
    """The inverse of `from_alpaca`; `system` only where the row has one, `input` always empty.

    Raises:
        UsageError: More than one question and answer.
    """
    messages = row["messages"]
    system = [turn["content"] for turn in messages if turn["role"] == "system"]
    roles = [turn["role"] for turn in messages if turn["role"] != "system"]
    if roles != ["user", "assistant"]:
        raise _cannot_hold("Alpaca", f"one question and one answer; saw {len(roles)} turns")
    plain = {"instruction": messages[-2]["content"], "input": "", "output": messages[-1]["content"]}
    return {**plain, "system": system[0]} if system else plain


def to_sharegpt(row: Row) -> Row:
    """The inverse of `from_sharegpt`: {"conversations"}."""
    return {"conversations": [{"from": _TO_SHAREGPT[t["role"]], "value": t["content"]} for t in row["messages"]]}


def to_turns(row: Row) -> Row:
    """The inverse of `from_turns` up to white space around contents: {"text"}.

    Raises:
        UsageError: A tool turn, or a content that holds `### Human:` or the like itself.
    """
    for turn in row["messages"]:
        if turn["role"] not in _TO_TURNS:
            raise _cannot_hold("### Human: text", f"system, user and assistant turns; saw {_a(turn['role'])} turn")
        if TURN_MARK.search(turn["content"]):
            raise _cannot_hold("### Human: text", "contents without such marks; saw one inside a turn")
    return {"text": "\n".join(f"### {_TO_TURNS[turn['role']]}: {turn['content'].strip()}" for turn in row["messages"])}


def _cannot_hold(name: str, what: str) -> UsageError:
    return UsageError(f"{name} holds only {what}.", hint="write the row as messages")


READERS = {
    "messages": from_messages,
    "prompt_completion": from_prompt_completion,
    "alpaca": from_alpaca,
    "sharegpt": from_sharegpt,
    "turns": from_turns,
}
"""How each generation format is read."""

COLUMNS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "classification": (("text", "label"), ()),
    "messages": (("messages",), ()),
    "prompt_completion": (("prompt", "completion"), ("system",)),
    "alpaca": (("instruction", "output"), ("input", "system")),
    "sharegpt": (("conversations",), ("system",)),
    "turns": (("text",), ()),
}
"""Fields of `data.columns` that each format needs, and those it may have."""


def detect_formats(
    columns: Iterable[str], sample: Sequence[Mapping[str, Any]], mapping: Mapping[str, str], among: Iterable[str]
) -> list[str]:
    """Formats that a file could be in, by its columns; `turns` also by the marks in its texts, and only without labels.

    Args:
        columns: Names that the file has.
        sample: Its first raw rows.
        mapping: `data.columns`.
        among: Formats that are asked for.
    """
    there = set(columns)
    fits = [name for name in among if all(mapping[part] in there for part in COLUMNS[name][0])]
    if "turns" in fits:
        texts = [row.get(mapping["text"]) for row in sample]
        marked = sum(isinstance(text, str) and TURN_MARK.search(text) is not None for text in texts)
        if mapping["label"] in there or 2 * marked <= len(texts):
            fits.remove("turns")
    return fits
