"""A real classifier, small enough to make in a second: three classes of support messages, random but fixed weights."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from ftcore.models.devices import Device
from ftcore.models.inference import Predictor
from ftcore.models.loading import load_classifier, save_classifier

LABELS = ("billing", "delivery", "login")
WORDS = ["card", "parcel", "password", "lost", "late", "bill", "where", "is", "the", "my", "reset", "help"]


def save_tiny(folder: Path, seed: int = 0) -> str:
    """Write a model folder; returns its digest."""
    torch.manual_seed(seed)
    vocabulary = {word: index for index, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64, num_labels=len(LABELS), initializer_range=0.6,
    )  # fmt: skip
    return save_classifier(BertForSequenceClassification(config), tokenizer, LABELS, folder)


def load_tiny(folder: Path) -> Predictor:
    return Predictor(load_classifier(folder), Device("cpu", "fp32", 1), max_length=32, batch_size=32)
