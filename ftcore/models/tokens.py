"""Texts to token ids, the same way in training, evaluation and serving."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from ftcore.errors import BaseModelError


def backend_tokenizer(tokenizer: PreTrainedTokenizerBase, max_length: int | None) -> Tokenizer:
    """A private copy of the fast tokenizer that cuts at `max_length` tokens (None: never) and never pads.

    The transformers wrapper changes the shared tokenizer's settings on each call, which fails under threads
    ("Already borrowed"); a copy with settings made once does not, and skips the wrapper's per-row cost.

    Raises:
        BaseModelError: The model has only a slow (pure Python) tokenizer.
    """
    if not tokenizer.is_fast:
        raise BaseModelError(f"{type(tokenizer).__name__} is a slow tokenizer; wanted a model with tokenizer.json.")
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    if max_length is None:
        backend.no_truncation()
    else:
        backend.enable_truncation(max_length)
    backend.no_padding()
    return backend


def pad_id_of(tokenizer: PreTrainedTokenizerBase) -> int:
    """Fills short rows. The end-of-text token serves where there is none (Llama, Mistral, GPT-2).

    Encoders and models that write text go by the mask; a decoder that classifies finds the last token of a row by this id. So it
    must be the same wherever the model runs, and that of its `config.pad_token_id`.
    """
    found = tokenizer.pad_token_id
    return int(found if found is not None else tokenizer.eos_token_id or 0)


def pad(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Input ids and attention mask, both int64 [rows, longest row], padded on the right."""
    width = max(len(row) for row in rows)
    input_ids = torch.tensor([[*row, *[pad_id] * (width - len(row))] for row in rows])
    attention_mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return input_ids, attention_mask


def pad_left(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """As `pad`, padded on the left: a decoder goes on from the last column."""
    input_ids, attention_mask = pad([row[::-1] for row in rows], pad_id)
    return input_ids.flip(1), attention_mask.flip(1)
