"""Conversations as token ids and labels: which tokens the model is to learn, and what is left when a row is too long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from ftcore.data.templates import render_chat
from ftcore.errors import BaseModelError

IGNORED = -100
"""Label of a token that is no part of the loss (PyTorch's convention)."""
_ANSWER_SHARE = 0.75


@dataclass(frozen=True)
class Encoded:
    """One row. Lists have one entry per token."""

    input_ids: list[int]
    labels: list[int]
    """The token's own id where it is to be learnt, else -100."""
    is_cut: bool
    """Tokens were left out to fit."""
    answer_is_cut: bool
    """The end of the answer is among them: the row cannot teach the model to stop."""


def encode(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Mapping[str, str]], max_length: int, loss_on: str = "answer"
) -> Encoded:
    """A conversation through the model's chat template.

    Args:
        messages: Turns; the last is the assistant's.
        max_length: Tokens kept. What is too long loses the beginning of what comes before the answer, so that the answer and the
            end of the question stay; an answer that would leave less than a quarter for the rest loses its end.
        loss_on: `answer`: the last turn; `assistant`: every turn of the assistant; `all`: everything.

    Raises:
        BaseModelError: The template refuses the turns, or rewrites earlier turns so that their answers cannot be told apart.
    """
    text = render_chat(tokenizer, messages)
    tokens = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    spans = [(0, len(text))] if loss_on == "all" else _answers(tokenizer, messages, text, every=loss_on == "assistant")
    ids: list[int] = tokens["input_ids"]
    labels = [
        token if any(start < end and low < end and high > start for start, end in spans) else IGNORED
        for token, (low, high) in zip(ids, tokens["offset_mapping"], strict=True)
    ]
    before = sum(high <= spans[-1][0] for _, high in tokens["offset_mapping"])
    begin, end = window(len(ids), before, max_length)
    keep_bos = begin > 0 and ids[0] == tokenizer.bos_token_id
    kept = [*([0] if keep_bos else []), *range(begin + keep_bos, end)]
    return Encoded(
        [ids[at] for at in kept], [labels[at] for at in kept], is_cut=len(kept) < len(ids), answer_is_cut=end < len(ids)
    )


def window(num_tokens: int, before: int, max_length: int) -> tuple[int, int]:
    """Which tokens of a row to keep, as (begin, end), at most `max_length` of them.

    Args:
        before: Tokens before the last answer. Their beginning goes first, down to a quarter of the room; then the answer's end.
    """
    if num_tokens <= max_length:
        return 0, num_tokens
    room_before = max_length - min(num_tokens - before, int(max_length * _ANSWER_SHARE))
    begin = max(before - room_before, 0)
    return begin, min(begin + max_length, num_tokens)


def encode_prompt(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Mapping[str, str]]) -> list[int]:
    """Token ids of a conversation up to where the model's answer begins; `messages` ends with that answer."""
    ids: list[int] = tokenizer(render_chat(tokenizer, messages, ask=True), add_special_tokens=False)["input_ids"]
    return ids


def _answers(tokenizer: Any, messages: Sequence[Mapping[str, str]], text: str, *, every: bool) -> list[tuple[int, int]]:
    """Where answers stand in the rendered text, from after the words that ask for one to the end of the turn."""
    last = len(messages) - 1
    spans = []
    for turn in range(len(messages)):
        if turn != last and not (every and messages[turn]["role"] == "assistant"):
            continue
        upto = messages[: turn + 1]
        asked = render_chat(tokenizer, upto, ask=True)
        answered = text if turn == last else render_chat(tokenizer, upto)
        if not (text.startswith(asked) and text.startswith(answered)):
            raise BaseModelError(
                "The chat template writes earlier turns in another way once more turns follow: answers cannot be found.",
                hint="--set training.loss_on=answer"
                if turn != last
                else "use a template whose generation prompt is the beginning of the assistant's turn",
            )
        spans.append((len(asked), len(answered)))
    return spans
