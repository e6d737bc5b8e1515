"""Language models with random weights and a word tokenizer with a chat template, one per architecture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
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
SPECIAL = ("<pad>", "<unk>", "<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>")
PAD, BOS, EOS = 0, 2, 3
TEMPLATE = (
    "<s>{% for turn in messages %}<|{{ turn['role'] }}|>{{ turn['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_SHAPE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
          "num_key_value_heads": 2, "max_position_embeddings": 96, "initializer_range": 0.2}  # fmt: skip
_IDS = {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS}


def chat_tokenizer(encoder: bool = False) -> PreTrainedTokenizerFast:
    """One token per word. For encoders texts end in EOS and there is no chat template."""
    vocabulary = {word: index for index, word in enumerate((*SPECIAL, *WORDS))}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    single = "$A </s>" if encoder else "<s> $A"
    backend.post_processor = processors.TemplateProcessing(single=single, special_tokens=[("<s>", BOS), ("</s>", EOS)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        additional_special_tokens=list(SPECIAL[4:]), model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip
    if not encoder:
        tokenizer.chat_template = TEMPLATE
    return tokenizer


def vocab_size() -> int:
    return len(SPECIAL) + len(WORDS)


def _llama() -> PreTrainedModel:
    return LlamaForCausalLM(LlamaConfig(vocab_size=vocab_size(), tie_word_embeddings=True, **_SHAPE, **_IDS))


def _qwen2() -> PreTrainedModel:
    return Qwen2ForCausalLM(Qwen2Config(vocab_size=vocab_size(), tie_word_embeddings=True, **_SHAPE, **_IDS))


def _qwen3() -> PreTrainedModel:
    return Qwen3ForCausalLM(Qwen3Config(vocab_size=vocab_size(), head_dim=8, **_SHAPE, **_IDS))


def _t5() -> PreTrainedModel:
    config = T5Config(
        vocab_size=vocab_size(), d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, initializer_factor=2.0,
        pad_token_id=PAD, eos_token_id=EOS, decoder_start_token_id=PAD,
    )  # fmt: skip
    return T5ForConditionalGeneration(config)


def _bart() -> PreTrainedModel:
    config = BartConfig(
        vocab_size=vocab_size(), d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=96, init_std=0.3,
        decoder_start_token_id=EOS, forced_eos_token_id=EOS, **_IDS,
    )  # fmt: skip
    return BartForConditionalGeneration(config)


FAMILIES: dict[str, Callable[[], PreTrainedModel]] = {
    "llama": _llama, "qwen2": _qwen2, "qwen3": _qwen3, "t5": _t5, "bart": _bart,
}  # fmt: skip
SEQ2SEQ = ("t5", "bart")


def build(family: str, seed: int = 1) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Model in evaluation mode and its tokenizer. Same weights every time."""
    torch.manual_seed(seed)
    return FAMILIES[family]().eval(), chat_tokenizer(encoder=family in SEQ2SEQ)


def build_base(folder: Path, family: str = "llama", seed: int = 1) -> BaseModel:
    """Write the model folder."""
    model, tokenizer = build(family, seed)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return resolve_base(BaseModelSpec(name=str(folder)))


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
