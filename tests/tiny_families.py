"""Language models with random weights, one per architecture, a tokenizer of words or letters, and rows that they can learn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from ftcore.models.base import BaseModel, resolve_base
from ftcore.spec import BaseModelSpec

WORDS = (
    "card", "lost", "money", "late", "refund", "please", "my", "the", "where", "is", "a", "new", "we", "send", "you",
    "one", "today", "sorry", "wait", "block",
)  # fmt: skip
LETTERS = "abcdefghijklmnopqrstuvwxyz 0123456789.,?!:#\n"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
SPECIAL = ("<pad>", "<unk>", "<s>", "</s>", *ROLES)
PAD, BOS, EOS = 0, 2, 3
TEMPLATE = (
    "{{ '<s>' }}{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '</s>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
SEQ2SEQ = ("t5", "bart")
Kit = Literal["words", "letters"]
_SPREAD: dict[Kit, tuple[float, float, float]] = {"words": (0.2, 2.0, 0.3), "letters": (0.02, 1.0, 0.02)}
"""First values of decoders, T5 and BART. Wide for words: answers of models that nobody trained differ from row to row."""
_POSITIONS: dict[Kit, int] = {"words": 96, "letters": 256}
_IDS = {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS}


def chat_tokenizer(encoder: bool = False) -> PreTrainedTokenizerFast:
    """One token per word. For encoders texts end in EOS and there is no chat template."""
    single = "$A </s>" if encoder else "<s> $A"
    ends = processors.TemplateProcessing(single=single, special_tokens=[("<s>", BOS), ("</s>", EOS)])
    return _tokenizer((*SPECIAL, *WORDS), pre_tokenizers.WhitespaceSplit(), ends, chat=not encoder)


def letter_tokenizer(*, chat: bool) -> PreTrainedTokenizerFast:
    """One token per letter. For chat the template writes the special tokens; else `</s>` ends every text."""
    ends = None if chat else processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", EOS)])
    special = (*SPECIAL[:4], *ROLES[1:], ROLES[0])
    return _tokenizer((*special, *LETTERS), pre_tokenizers.Split(Regex("[\\s\\S]"), "isolated"), ends, chat=chat)


def _tokenizer(tokens: Sequence[str], split: Any, ends: Any, *, chat: bool) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.WordLevel({token: number for number, token in enumerate(tokens)}, unk_token="<unk>"))
    backend.pre_tokenizer = split
    if ends is not None:
        backend.post_processor = ends
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        additional_special_tokens=list(ROLES), model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip
    if chat:
        tokenizer.chat_template = TEMPLATE
    return tokenizer


def vocab_size() -> int:
    """Of the tokenizer of words."""
    return len(SPECIAL) + len(WORDS)


def _decoder(size: int, kit: Kit) -> dict[str, Any]:
    return {
        "vocab_size": size, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": _POSITIONS[kit], "initializer_range": _SPREAD[kit][0], **_IDS,
    }  # fmt: skip


def _llama(size: int, kit: Kit) -> PreTrainedModel:
    return LlamaForCausalLM(LlamaConfig(**_decoder(size, kit), tie_word_embeddings=True))


def _qwen2(size: int, kit: Kit) -> PreTrainedModel:
    return Qwen2ForCausalLM(Qwen2Config(**_decoder(size, kit), tie_word_embeddings=True))


def _qwen3(size: int, kit: Kit) -> PreTrainedModel:
    return Qwen3ForCausalLM(Qwen3Config(**_decoder(size, kit), head_dim=8))


def _t5(size: int, kit: Kit) -> PreTrainedModel:
    config = T5Config(
        vocab_size=size, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, initializer_factor=_SPREAD[kit][1],
        pad_token_id=PAD, eos_token_id=EOS, decoder_start_token_id=PAD,
    )  # fmt: skip
    return T5ForConditionalGeneration(config)


def _bart(size: int, kit: Kit) -> PreTrainedModel:
    config = BartConfig(
        vocab_size=size, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=_POSITIONS[kit],
        init_std=_SPREAD[kit][2], decoder_start_token_id=EOS, forced_eos_token_id=EOS, **_IDS,
    )  # fmt: skip
    return BartForConditionalGeneration(config)


FAMILIES: dict[str, Callable[[int, Kit], PreTrainedModel]] = {
    "llama": _llama, "qwen2": _qwen2, "qwen3": _qwen3, "t5": _t5, "bart": _bart,
}  # fmt: skip


def build(family: str, seed: int = 1, kit: Kit = "words") -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Model in evaluation mode and its tokenizer. Same weights every time."""
    seq2seq = family in SEQ2SEQ
    tokenizer = chat_tokenizer(encoder=seq2seq) if kit == "words" else letter_tokenizer(chat=not seq2seq)
    torch.manual_seed(seed)
    return FAMILIES[family](len(tokenizer), kit).eval(), tokenizer


def build_base(folder: Path, family: str = "llama", seed: int = 1, kit: Kit = "words") -> BaseModel:
    """Write the model folder."""
    model, tokenizer = build(family, seed, kit)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return resolve_base(BaseModelSpec(name=str(folder)))


def build_tiny(family: str, folder: Path) -> BaseModel:
    """Write the folder of a model of letters: it can learn `make_chats`."""
    return build_base(folder, family, kit="letters")


def make_dialogues(num_rows: int, seed: int = 0) -> list[dict[str, object]]:
    """Rows of a generation task: the answer names the question's first word."""
    generator = torch.Generator().manual_seed(seed)
    rows: list[dict[str, object]] = []
    for number in range(num_rows):
        picked = [
            WORDS[int(word)]
            for word in torch.randint(
                0, 12, (int(torch.randint(2, 9, (1,), generator=generator)),), generator=generator
            )
        ]
        question, answer = " ".join(picked), f"we send you {picked[0]} today"
        messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        rows.append({"id": str(number), "text": question, "completion": answer, "messages": messages})
    return rows


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
