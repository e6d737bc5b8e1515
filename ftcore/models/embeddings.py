"""Texts as vectors of the base model as it was before any fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from ftcore.errors import BaseModelError, first_line
from ftcore.models.base import BaseModel, resolve_base
from ftcore.models.batches import Arrays, Runner, Work, run_all
from ftcore.models.devices import Device, choose
from ftcore.models.tokens import backend_tokenizer, pad, pad_id_of
from ftcore.spec import FineTuneSpec


class Embedder:
    """Loads a base model once and embeds as often as asked.

    Args:
        runner: Runs the batches.

    Raises:
        BaseModelError: The base model cannot be loaded as an encoder.
    """

    def __init__(
        self,
        base: BaseModel,
        device: Device,
        max_length: int = 128,
        batch_size: int = 64,
        runner: Runner = run_all,
    ) -> None:
        transformers_logging.disable_progress_bar()
        transformers_logging.set_verbosity_error()  # heads that an encoder does not use are expected, not news
        try:
            model = AutoModel.from_pretrained(
                base.path, local_files_only=True, use_safetensors=True, dtype=torch.float32
            )
            tokenizer = AutoTokenizer.from_pretrained(base.path, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise BaseModelError(
                f"Base model {base.name} cannot be loaded as an encoder: {first_line(error)}"
            ) from error
        self._model = model.to(device.device).eval()
        self._tokenizer = backend_tokenizer(tokenizer, max_length)
        self._pad_id = pad_id_of(tokenizer)
        self._device, self._batch_size, self._runner = device, batch_size, runner

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """[texts, hidden]: mean-pooled last hidden state.

        Texts of like length share a batch; the order of the result is that of `texts`.
        """
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]
        order = np.argsort([len(row) for row in tokens], kind="stable")
        embeddings = np.zeros((len(tokens), int(self._model.config.hidden_size)))
        batches = [order[start : start + self._batch_size] for start in range(0, len(order), self._batch_size)]

        def run(rows: np.ndarray) -> Arrays:
            ids, mask = (tensor.to(self._device.device) for tensor in pad([tokens[row] for row in rows], self._pad_id))
            with torch.inference_mode(), self._device.autocast():
                hidden = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
            weights = mask.unsqueeze(-1).float()
            return {"embeddings": ((hidden.float() * weights).sum(dim=1) / weights.sum(dim=1)).cpu().numpy()}

        for rows, found in self._runner(Work("embeddings", [tokens], batches, run)):
            embeddings[rows] = found["embeddings"]
        return embeddings


def embedder_of(spec: FineTuneSpec) -> Embedder:
    """The spec's base model on the spec's device.

    Raises:
        BaseModelError: The base model is missing, fails its checksum or cannot be loaded as an encoder.
        UsageError: The spec asks for a device that is not there.
    """
    device = choose(spec.compute)
    device.prepare()
    return Embedder(resolve_base(spec.base_model, spec.root), device, spec.training.max_length)
