"""Batch prediction: right order, right pooling, safe under threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.models.inference import Predictor
from ftcore.models.loading import LoadedModel
from tests.tiny_bert import LABELS, make_rows

TEXTS = [row["text"] for row in make_rows(23)]


@pytest.fixture
def loaded(tiny_base: BaseModel) -> LoadedModel:
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(tiny_base.path, num_labels=3).eval()
    return LoadedModel(model, AutoTokenizer.from_pretrained(tiny_base.path), LABELS)


def test_batches_give_what_single_texts_give(loaded: LoadedModel, cpu: Device) -> None:
    batched = Predictor(loaded, cpu, max_length=16, batch_size=4).predict(TEXTS)
    for number, text in enumerate(TEXTS):
        encoded = loaded.tokenizer(text, return_tensors="pt", truncation=True, max_length=16)
        with torch.inference_mode():
            output = loaded.model(
                input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"], output_hidden_states=True
            )
        probabilities = output.logits.softmax(-1)[0].numpy()
        np.testing.assert_allclose(batched.probabilities[number], probabilities, atol=1e-6)
        np.testing.assert_allclose(batched.embeddings[number], output.hidden_states[-1][0].mean(0).numpy(), atol=1e-5)
        assert batched.labels[number] == LABELS[int(probabilities.argmax())]
        assert batched.num_tokens[number] == encoded["input_ids"].shape[1]


def test_long_texts_are_cut_and_none_is_fine(loaded: LoadedModel, cpu: Device) -> None:
    predictor = Predictor(loaded, cpu, max_length=8, batch_size=4)
    assert predictor.predict(["card " * 50]).num_tokens.tolist() == [8]
    nothing = predictor.predict([])
    assert nothing.labels == [] and nothing.probabilities.shape == (0, 3) and nothing.embeddings.shape == (0, 32)
    assert nothing.confidences.shape == (0,)
    assert predictor.predict([""]).labels[0] in LABELS


def test_threads_may_share_a_predictor(loaded: LoadedModel, cpu: Device) -> None:
    predictor = Predictor(loaded, cpu, max_length=16, batch_size=4)
    wanted = predictor.predict(TEXTS).probabilities
    with ThreadPoolExecutor(4) as pool:
        for seen in pool.map(lambda _: predictor.predict(TEXTS).probabilities, range(12)):
            np.testing.assert_array_equal(seen, wanted)


def test_bf16_is_close(loaded: LoadedModel, cpu: Device) -> None:
    exact = Predictor(loaded, cpu, max_length=16, batch_size=8).predict(TEXTS)
    close = Predictor(loaded, Device("cpu", "bf16", 1), max_length=16, batch_size=8).predict(TEXTS)
    np.testing.assert_allclose(close.probabilities, exact.probabilities, atol=0.02)
    assert close.embeddings.dtype == np.float32
