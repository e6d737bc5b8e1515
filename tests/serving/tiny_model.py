"""A real classifier, small enough to make in a second: three classes of support messages, random but fixed weights."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import BertConfig, BertForSequenceClassification

from ftcore.models.devices import Device
from ftcore.models.inference import Predictor
from ftcore.models.loading import load_classifier, save_classifier
from tests.tiny_bert import word_tokenizer

LABELS = ("billing", "delivery", "login")
WORDS = ["card", "parcel", "password", "lost", "late", "bill", "where", "is", "the", "my", "reset", "help"]


def save_tiny(folder: Path, seed: int = 0) -> str:
    """Write a model folder; returns its digest."""
    torch.manual_seed(seed)
    tokenizer = word_tokenizer(WORDS)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64, num_labels=len(LABELS), initializer_range=0.6,
    )  # fmt: skip
    return save_classifier(BertForSequenceClassification(config), tokenizer, LABELS, folder)


def load_tiny(folder: Path) -> Predictor:
    return Predictor(load_classifier(folder), Device("cpu", "fp32", 1), max_length=32, batch_size=32)
