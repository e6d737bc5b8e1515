"""Expectations about `messages`: turns in order, an answer that ends, a chat template that loses nothing.

The column holds canonical JSON text, a list of {"role", "content"}.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

from great_expectations.compatibility import pydantic

from ftcore.validation.custom._base import Observation, RowExpectation, unjudged
from ftcore.validation.custom._tokens import encode, load_tokenizer
from ftcore.validation.findings import Action
from ftcore.validation.surroundings import Surroundings

_LETTERS = {"system": "s", "user": "u", "assistant": "a", "tool": "t"}
_ORDER = re.compile(r"s?(?:u(?:at+)*a)+")


class ExpectColumnMessagesToTakeTurns(RowExpectation):
    """One optional system turn, then user and assistant in turn (with tool turns between two of the assistant's), the assistant
    last, and no turn without content."""

    action: ClassVar[Action] = "quarantine"
    reason: ClassVar[str] = "turn_order"

    def faults(self, values: Sequence[Any], around: Surroundings) -> Iterable[Any]:
        return map(_turn_fault, values)


def _turn_fault(value: Any) -> str | None:
    messages = read_messages(value)
    if messages is None:
        return "no list of messages"
    letters = "".join(_LETTERS.get(str(message.get("role")), "?") for message in messages)
    if "?" in letters:
        return "unknown role"
    if any(not isinstance(content := message.get("content"), str) or not content.strip() for message in messages):
        return "empty turn"
    if not _ORDER.fullmatch(letters):
        return "no answer at the end" if not letters.endswith("a") else "turns out of order"
    return None


def read_messages(value: Any) -> list[dict[str, Any]] | None:
    """The messages in a cell; None if it holds no list of objects."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if not isinstance(value, list) or not value or not all(isinstance(message, dict) for message in value):
        return None
    return value


class _TemplateExpectation(RowExpectation):
    """Base of those that render messages with the tokenizer's chat template."""

    max_length: int | None = pydantic.Field(default=None, ge=1)
    """Tokens that training keeps; None: `training.max_length`."""

    def look(self, frame: Any, around: Surroundings) -> Observation:
        if around.tokenizer is None or (self.max_length or around.max_length) is None:
            return unjudged("no tokenizer and length limit were given")
        if not getattr(load_tokenizer(around.tokenizer), "chat_template", None):
            return unjudged("the tokenizer has no chat template")
        return super().look(frame, around)


class ExpectColumnMessagesToReachEos(_TemplateExpectation):
    """The rendered conversation fits the length limit and ends its last answer with the end-of-sequence token.

    Otherwise the model never sees where an answer ends and will not stop. Some templates end a turn with a token of their own:
    name it in `end_tokens`.
    """

    action: ClassVar[Action] = "quarantine"
    reason: ClassVar[str] = "no_end_of_answer"
    end_tokens: list[str] = pydantic.Field(default=[])
    """Tokens that also end an answer."""

    def faults(self, values: Sequence[Any], around: Surroundings) -> Iterable[Any]:
        assert around.tokenizer is not None
        tokenizer = load_tokenizer(around.tokenizer)
        limit = self.max_length or around.max_length or 0
        ends = [token for token in (tokenizer.eos_token, *self.end_tokens) if token]
        rendered = [_render(tokenizer, value) for value in values]
        lengths = map(len, encode(tokenizer, [text or "" for _, text in rendered], add_special_tokens=False))
        for (messages, text), length in zip(rendered, lengths, strict=True):
            if text is None or messages is None:
                yield "template cannot render it"
            elif length > limit:
                yield "answer cut off"
            else:
                tail = text[text.rfind(str(messages[-1].get("content")).strip()) :]
                yield None if any(end in tail for end in ends) else "no end of sequence"


class ExpectColumnMessagesToSurviveTemplate(_TemplateExpectation):
    """Every turn's content is in the rendered text, and still there after tokenising and decoding (white space aside).

    Content that spells a special token is a fault too: the model would read it as the end of a turn.
    """

    def faults(self, values: Sequence[Any], around: Surroundings) -> Iterable[Any]:
        assert around.tokenizer is not None
        tokenizer = load_tokenizer(around.tokenizer)
        special = [token for token in tokenizer.all_special_tokens if len(token) > 2]
        rendered = [_render(tokenizer, value) for value in values]
        ids = encode(tokenizer, [text or "" for _, text in rendered], add_special_tokens=False)
        decoded: Iterator[str] = iter(tokenizer.batch_decode(ids, skip_special_tokens=False))
        for (messages, text), back in zip(rendered, decoded, strict=True):
            yield _lost(messages, text, back, special)


def _lost(messages: list[dict[str, Any]] | None, text: str | None, back: str, special: Sequence[str]) -> str | None:
    if text is None or messages is None:
        return "template cannot render it"
    contents = [str(message.get("content") or "") for message in messages]
    if any(token in content for content in contents for token in special):
        return "holds a special token"
    whole, again = _squeeze(text), _squeeze(back)
    if any(_squeeze(content) not in whole for content in contents):
        return "template drops a turn"
    return "tokenizer loses characters" if any(_squeeze(content) not in again for content in contents) else None


def _render(tokenizer: Any, value: Any) -> tuple[list[dict[str, Any]] | None, str | None]:
    from jinja2 import TemplateError

    messages = read_messages(value)
    if messages is None:
        return None, None
    try:
        return messages, str(tokenizer.apply_chat_template(messages, tokenize=False))
    except (TemplateError, TypeError, ValueError, KeyError):  # templates refuse roles and orders that they do not know
        return messages, None


def _squeeze(text: str) -> str:
    return "".join(text.split())
