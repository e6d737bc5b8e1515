"""Batch prediction: texts in, classes, probabilities and embeddings out, in the order of the texts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer

from ftcore.models.batches import Arrays, Runner, Work, run_all
from ftcore.models.devices import Device
from ftcore.models.loading import LoadedModel
from ftcore.models.tokens import backend_tokenizer, pad, pad_id_of


@dataclass(frozen=True)
class Predictions:
    """One row per text, in the order of the texts."""

    labels: list[str]
    probabilities: np.ndarray
    """[texts, classes] float32; rows sum to 1."""
    embeddings: np.ndarray
    """[texts, hidden] float32: last hidden state, averaged over the tokens that are not padding."""
    num_tokens: np.ndarray
    """[texts] int64: tokens the model saw, special ones included, after cutting at `max_length`."""
    classes: tuple[str, ...]
    """The labels, in the order of the columns of `probabilities`."""
    seconds: np.ndarray
    """[texts] float64: the time of the text's batch, shared out among its texts."""

    @property
    def confidences(self) -> np.ndarray:
        """[texts] float32: probability of the predicted class."""
        highest: np.ndarray = self.probabilities.max(axis=1, initial=0.0)
        return highest


class Predictor:
    """A classifier ready to answer. Safe to call from several threads: nothing is changed after construction.

    Args:
        loaded: From `load_classifier`; moved to the device.
        device: From `devices.choose`.
        max_length: Tokens per text; longer texts are cut.
        batch_size: Texts per forward pass. Texts of like length go together, so that little is padded.
        runner: Runs the batches.
    """

    def __init__(
        self, loaded: LoadedModel, device: Device, max_length: int, batch_size: int, runner: Runner = run_all
    ) -> None:
        self.labels = loaded.labels
        self.device = device
        self.batch_size = batch_size
        self._runner = runner
        self._model = loaded.model.to(device.device).eval()
        self._tokenizer: Tokenizer = backend_tokenizer(loaded.tokenizer, max_length)
        self._pad_id = pad_id_of(loaded.tokenizer)

    def predict(self, texts: Sequence[str]) -> Predictions:
        """Classify `texts` (none is fine)."""
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]
        num_tokens = np.array([len(row) for row in tokens], dtype=np.int64)
        probabilities = np.zeros((len(tokens), len(self.labels)), dtype=np.float32)
        embeddings = np.zeros((len(tokens), int(self._model.config.hidden_size)), dtype=np.float32)
        seconds = np.zeros(len(tokens))
        order = np.argsort(num_tokens, kind="stable")
        batches = [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]

        def run(rows: np.ndarray) -> Arrays:
            started = time.monotonic()
            found = self._forward([tokens[row] for row in rows])
            return found | {"seconds": np.full(len(rows), (time.monotonic() - started) / len(rows))}

        for rows, found in self._runner(Work("predictions", [tokens], batches, run)):
            probabilities[rows], embeddings[rows] = found["probabilities"], found["embeddings"]
            seconds[rows] = found["seconds"]
        labels = [self.labels[index] for index in probabilities.argmax(axis=1)]
        return Predictions(labels, probabilities, embeddings, num_tokens, tuple(self.labels), seconds)

    def _forward(self, tokens: list[list[int]]) -> Arrays:
        input_ids, attention_mask = (tensor.to(self.device.device) for tensor in pad(tokens, self._pad_id))
        with torch.inference_mode(), self.device.autocast():
            output = self._model(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
        weights = attention_mask.unsqueeze(-1).float()
        hidden = output.hidden_states[-1][
            :, -input_ids.shape[1] :
        ]  # prompt tuning puts its own vectors before the text's
        pooled = (hidden.float() * weights).sum(dim=1) / weights.sum(dim=1)
        probabilities = output.logits.float().softmax(dim=-1)
        return {"probabilities": probabilities.cpu().numpy(), "embeddings": pooled.cpu().numpy()}
