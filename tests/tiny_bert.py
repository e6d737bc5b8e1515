"""A BERT with random weights and a word tokenizer, small enough to train in a second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from ftcore.models.base import BaseModel, resolve_base
from ftcore.spec import BaseModelSpec

WORDS = ("card", "lost", "money", "late", "refund", "please", "my", "the", "where", "is", "a", "new")
LABELS = ("card", "money", "refund")


def word_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerFast:
    """One token per word, BERT's special tokens around and before them."""
    vocabulary = {word: index for index, word in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", *words))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def build_tiny_bert(folder: Path) -> BaseModel:
    """Write the model folder. Same weights every time."""
    tokenizer = word_tokenizer(WORDS)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=32, initializer_range=0.2,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return resolve_base(BaseModelSpec(name=str(folder)))


def make_rows(num_rows: int, seed: int = 0) -> list[dict[str, str]]:
    """Rows whose class is the first word, padded with words that say nothing."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for number in range(num_rows):
        label = LABELS[number % len(LABELS)]
        length = int(torch.randint(1, 8, (1,), generator=generator))
        filler = [WORDS[5 + int(word)] for word in torch.randint(0, 7, (length,), generator=generator)]
        rows.append({"id": str(number), "text": " ".join([label, *filler]), "label": label})
    return rows


def with_mask_token(base: BaseModel) -> BaseModel:
    """The same model with a tokenizer that knows `[MASK]`, in the place of a word."""
    tokenizer = word_tokenizer(WORDS[:-1])
    tokenizer.add_special_tokens({"mask_token": "[MASK]"})
    tokenizer.save_pretrained(base.path)
    return resolve_base(BaseModelSpec(name=str(base.path)))
