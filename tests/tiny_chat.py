"""Decoders and encoder-decoders with random weights, a character tokenizer and a chat template."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)  # fmt: skip

from ftcore.models.base import BaseModel, resolve_base
from ftcore.spec import BaseModelSpec

LETTERS = "abcdefghijklmnopqrstuvwxyz 0123456789.,?!:#\n"
SPECIAL = ("<pad>", "<unk>", "<s>", "</s>", "<|user|>", "<|assistant|>", "<|system|>")
TEMPLATE = (
    "{{ '<s>' }}{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '</s>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def letter_tokenizer(*, chat: bool) -> PreTrainedTokenizerFast:
    """One token per letter. For chat the template writes the special tokens; else `</s>` ends every text."""
    vocabulary = {token: index for index, token in enumerate((*SPECIAL, *LETTERS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("[\\s\\S]"), "isolated")
    if not chat:
        tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 3)])
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        additional_special_tokens=list(SPECIAL[4:]),
    )  # fmt: skip
    if chat:
        made.chat_template = TEMPLATE
    return made


def build_tiny(family: str, folder: Path) -> BaseModel:
    """Write a model folder of the family `llama`, `qwen2`, `t5` or `bart`. Same weights every time."""
    tokenizer = letter_tokenizer(chat=family in ("llama", "qwen2"))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(1)
    size, ends = len(tokenizer), {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    small: dict[str, Any] = {
        "vocab_size": size, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 256, "tie_word_embeddings": True,
    }  # fmt: skip
    if family == "llama":
        model: Any = LlamaForCausalLM(LlamaConfig(**small, **ends))
    elif family == "qwen2":
        model = Qwen2ForCausalLM(Qwen2Config(**small, **ends))
    elif family == "t5":
        model = T5ForConditionalGeneration(T5Config(
            vocab_size=size, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, pad_token_id=0, eos_token_id=3,
            decoder_start_token_id=0,
        ))  # fmt: skip
    else:
        model = BartForConditionalGeneration(BartConfig(
            vocab_size=size, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
            decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=256,
            decoder_start_token_id=3, forced_eos_token_id=3, **ends,
        ))  # fmt: skip
    model.save_pretrained(folder)
    return resolve_base(BaseModelSpec(name=str(folder)))


def make_chats(num_rows: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows whose answer is the question's first word."""
    words: Sequence[str] = ("card", "lost", "late", "refund")
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for number in range(num_rows):
        word = words[int(torch.randint(0, len(words), (1,), generator=generator))]
        asked = f"{word} {'please ' * int(torch.randint(0, 4, (1,), generator=generator))}?"
        messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": word}]
        rows.append({"id": str(number), "text": asked, "completion": word, "messages": messages})
    return rows


def make_ratings(num_rows: int, *, pairs: bool = False) -> list[dict[str, Any]]:
    """Ratings in canonical columns: `lost` is always the good answer, `refund` the bad one."""
    rows: list[dict[str, Any]] = []
    for number in range(num_rows):
        asked = f"where is card {number}?"
        row = {"id": str(number), "text": asked, "prompt": [{"role": "user", "content": asked}]}
        good = number % 2 == 0
        rated = {"completion": "lost" if good else "refund", "rating": good}
        rows.append({**row, **({"chosen": "lost", "rejected": "refund"} if pairs else rated)})
    return rows
