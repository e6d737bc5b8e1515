"""A decoder that chooses among given answers by how likely it finds them, without being trained to."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ftcore.errors import BaseModelError, IntegrityError
from ftcore.models.batches import Arrays, Runner, Work, run_all
from ftcore.models.devices import Device
from ftcore.models.generation_settings import num_positions
from ftcore.models.loading import LoadedModel, kind_of
from ftcore.models.tokens import backend_tokenizer

_MAX_CACHE_BYTES = 1 << 30
"""Of keys and values of one batch; there are two copies for a moment."""
_VALUE_BYTES = 4


def require_decoder(folder: Path, name: str) -> None:
    """See that the base model `name` in `folder` goes on from a text; nothing is loaded.

    Raises:
        BaseModelError: It is an encoder, or an encoder-decoder.
    """
    try:
        kind = str(kind_of(folder))
    except IntegrityError:  # of none that generates text
        kind = "an encoder"
    if kind != "decoder":
        raise BaseModelError(
            f"The baseline few_shot asks a decoder, which goes on from a text; {name} is {kind.replace('seq2seq', 'none')}.",
            hint="for an encoder: --set 'evaluation.baselines=[majority, nearest_centroid]'",
        )


class Chooser:
    """Scores the same few options after every prompt. All prompts of a call begin alike, so that this part is read once.

    Args:
        loaded: A decoder, from `load_generative_base`; moved to the device.
        device: From `devices.choose`.
        batch_size: Prompts per forward pass, fewer where their keys and values would take more than 1 GiB.
        runner: Runs the batches.
    """

    def __init__(self, loaded: LoadedModel, device: Device, batch_size: int, runner: Runner = run_all) -> None:
        assert loaded.kind == "decoder"
        self._device, self._batch_size, self._runner = device, batch_size, runner
        self._model = loaded.model.to(device.device).eval()
        self._backend = backend_tokenizer(loaded.tokenizer, None)
        self._first = loaded.tokenizer.bos_token_id
        self.num_positions = num_positions(self._model)
        """Tokens that the model has room for; None: no such limit."""

    def num_tokens(self, text: str) -> int:
        """Tokens of a text, special ones left out."""
        return len(self._ids(text))

    def cut(self, text: str, max_tokens: int) -> str:
        """The text's first `max_tokens` tokens."""
        encoding = self._backend.encode(text, add_special_tokens=False)
        return text if len(encoding.ids) <= max_tokens else text[: encoding.offsets[max_tokens - 1][1]]

    def options(self, before: str, texts: Sequence[str]) -> list[list[int]]:
        """Ids of ` text` as they follow `before`, for each text: a tokenizer may write the space into the word, or not."""
        start = self._ids(before)
        found = []
        for text in texts:
            whole = self._ids(f"{before} {text}")
            found.append(whole[len(start) :] if whole[: len(start)] == start else self._ids(f" {text}"))
        return [ids or self._ids(text) for ids, text in zip(found, texts, strict=True)]

    def scores(self, beginning: str, prompts: Sequence[str], options: Sequence[list[int]]) -> np.ndarray:
        """Mean ln p per token of each option after `beginning` + prompt.

        By the token, since a long option is less likely than a short one whatever the prompt (Brown et al. 2020, section 2.4).

        Args:
            options: Ids, from `options`; none empty.

        Returns:
            [prompts, options] float64.
        """
        prefix = [*([] if self._first is None else [int(self._first)]), *self._ids(beginning)]
        asked = [self._ids(prompt) for prompt in prompts]
        found = np.zeros((len(asked), len(options)))
        with torch.inference_mode(), self._device.autocast():
            cache = self._model(input_ids=self._tensor([prefix]), use_cache=True).past_key_values

            def run(rows: np.ndarray) -> Arrays:
                with torch.inference_mode(), self._device.autocast():
                    return {"scores": self._score(cache, [asked[row] for row in rows], options)}

            settings = {"prefix": prefix, "options": list(options)}
            work = Work("choices", [asked], self._batches(asked, len(prefix)), run, settings)
            for rows, given in self._runner(work):
                found[rows] = given["scores"]
        return found

    def _score(self, prefix: Any, asked: list[list[int]], options: Sequence[list[int]]) -> np.ndarray:
        """[rows, options]; all rows are of one length, so that nothing is padded and every decoder counts its places right."""
        cache = copy.deepcopy(prefix)
        cache.batch_repeat_interleave(len(asked))
        output = self._model(input_ids=self._tensor(asked), past_key_values=cache, use_cache=True)
        first = output.logits[:, -1].float().log_softmax(dim=-1)
        scores = np.zeros((len(asked), len(options)))
        for number, ids in enumerate(options):
            total = first[:, ids[0]].double()
            if len(ids) > 1:
                rest = self._tensor([ids] * len(asked))
                logits = self._model(
                    input_ids=rest[:, :-1], past_key_values=copy.deepcopy(output.past_key_values), use_cache=True
                ).logits
                found = logits.float().log_softmax(dim=-1).gather(2, rest[:, 1:].unsqueeze(-1))
                total = total + found.double().sum(dim=(1, 2))
            scores[:, number] = (total / len(ids)).cpu().numpy()
        return scores

    def _batches(self, asked: Sequence[list[int]], num_prefix: int) -> list[np.ndarray]:
        """Positions of rows of one length, the longest last."""
        config = self._model.config.get_text_config()
        head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        token_bytes = 2 * config.num_hidden_layers * heads * head_size * _VALUE_BYTES
        lengths = np.array([len(ids) for ids in asked])
        batches: list[np.ndarray] = []
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            most = max(1, min(self._batch_size, _MAX_CACHE_BYTES // int(token_bytes * (num_prefix + length))))
            batches += [rows[start : start + most] for start in range(0, len(rows), most)]
        return batches

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._backend.encode(text, add_special_tokens=False).ids
        return ids

    def _tensor(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        return torch.tensor(rows, device=self._device.device)
