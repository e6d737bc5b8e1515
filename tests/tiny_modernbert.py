"""A ModernBERT with random weights beside the word tokenizer of `tiny_bert`."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import ModernBertConfig, ModernBertModel

from ftcore.models.base import BaseModel, resolve_base
from ftcore.spec import BaseModelSpec
from tests.tiny_bert import WORDS, word_tokenizer


def build_tiny_modernbert(folder: Path) -> BaseModel:
    """Write the model folder. Same weights every time."""
    tokenizer = word_tokenizer(WORDS)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(1)
    config = ModernBertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64, initializer_range=0.2, pad_token_id=0, bos_token_id=2, eos_token_id=3, cls_token_id=2,
        sep_token_id=3,
    )  # fmt: skip
    ModernBertModel(config).save_pretrained(folder)
    return resolve_base(BaseModelSpec(name=str(folder)))
