"""Prompts as token ids: chat template and special tokens as the model's own tokenizer writes them, cut to what fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from ftcore.errors import BaseModelError
from ftcore.models.tokens import backend_tokenizer

Message = Mapping[str, str]
Prompt = str | Sequence[Message]
"""What a model is given: the turns of a conversation before its answer, or one text. Under a chat template a text is the user's
only turn; a model without one gets the contents of all turns, one per line."""


@dataclass(frozen=True)
class Encoded:
    """One prompt as the model sees it."""

    ids: list[int]
    was_cut: bool
    """Whether tokens were left out because the prompt was too long."""


class PromptEncoder:
    """Texts and conversations to token ids. Safe under threads.

    Args:
        tokenizer: A fast tokenizer; with a chat template where conversations are to be told apart by turns.
        is_decoder: The model goes on from its prompt; False: an encoder reads the prompt, and the chat template is not used.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, is_decoder: bool) -> None:
        self._tokenizer = tokenizer
        self._backend = backend_tokenizer(tokenizer, None)
        self._has_template = is_decoder and bool(tokenizer.chat_template)
        self._is_decoder = is_decoder
        self._special = frozenset(tokenizer.all_special_ids)

    def prompt(self, prompt: Prompt, max_tokens: int) -> Encoded:
        """Ids of a prompt, ending where the answer begins.

        One that is too long loses tokens on the left, after the special tokens that it starts with (the beginning of the
        text); its end, where the template asks for the answer, always stays.

        Raises:
            BaseModelError: The chat template refuses the turns.
        """
        if self._has_template:
            ids = self._ids(self._render(_turns(prompt), ask=True), special=False)
        else:
            text = prompt if isinstance(prompt, str) else "\n".join(turn["content"] for turn in prompt)
            ids = self._ids(text, special=True)
        return self._cut(ids, max_tokens)

    def completion(self, prompt: Prompt, completion: str, eos_ids: frozenset[int]) -> list[int]:
        """Ids of the answer as the model would have to write it after the prompt, with the token that ends it."""
        if self._has_template:
            turns = _turns(prompt)
            before = self._render(turns, ask=True)
            whole = self._render([*turns, {"role": "assistant", "content": completion}], ask=False)
            if whole.startswith(before):
                ids = self._ids(whole[len(before) :], special=False)
                ends = [position for position, token in enumerate(ids) if token in eos_ids]
                if ends:
                    return ids[: ends[0] + 1]  # templates may write a line break after it
        ids = self._ids(completion, special=not self._is_decoder)
        end = self._tokenizer.eos_token_id
        return ids if end is None or (ids and ids[-1] == end) else [*ids, int(end)]

    def plain(self, text: str, max_tokens: int | None) -> tuple[list[int], int]:
        """Ids of a text without special tokens, cut on the right, and the UTF-8 bytes that they stand for."""
        encoding = self._backend.encode(text, add_special_tokens=False)
        if max_tokens is None or len(encoding.ids) <= max_tokens:
            return list(encoding.ids), len(text.encode())
        return encoding.ids[:max_tokens], len(text[: encoding.offsets[max_tokens - 1][1]].encode())

    def first_id(self, otherwise: int) -> int:
        """The token that begins a text; `otherwise` where the model has none."""
        first = self._tokenizer.bos_token_id
        return otherwise if first is None else int(first)

    def text(self, ids: Sequence[int]) -> str:
        """Generated ids as text, without special tokens and outer white space."""
        return str(self._backend.decode(list(ids), skip_special_tokens=True)).strip()

    def _ids(self, text: str, *, special: bool) -> list[int]:
        ids: list[int] = self._backend.encode(text, add_special_tokens=special).ids
        return ids

    def _render(self, turns: Sequence[Message], *, ask: bool) -> str:
        try:
            plain = [dict(turn) for turn in turns]
            return str(self._tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=ask))
        except (TemplateError, TypeError, ValueError, KeyError) as error:  # the error's text may quote a turn
            roles = " ".join(turn["role"] for turn in turns)[:200]
            message = f"The chat template refuses a conversation ({type(error).__name__}); saw the turns {roles}."
            raise BaseModelError(message, hint="bring conversations into an order that the base model knows") from None

    def _cut(self, ids: list[int], max_tokens: int) -> Encoded:
        if len(ids) <= max_tokens:
            return Encoded(ids, False)
        num_head = 0
        while num_head < min(len(ids), max_tokens - 1) and ids[num_head] in self._special:
            num_head += 1
        return Encoded([*ids[:num_head], *ids[len(ids) - (max_tokens - num_head) :]], True)


def _turns(prompt: Prompt) -> Sequence[Message]:
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
