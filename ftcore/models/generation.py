"""Batch generation: prompts in, answers out, and how likely a model finds given answers; in the order of the prompts."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from ftcore.errors import BaseModelError
from ftcore.models.adapters import is_adapted, virtual_inputs
from ftcore.models.batches import Arrays, Runner, Work, run_all
from ftcore.models.devices import Device
from ftcore.models.generation_settings import generation_config, num_positions
from ftcore.models.loading import LoadedModel
from ftcore.models.prompts import Prompt, PromptEncoder
from ftcore.models.tokens import pad, pad_left
from ftcore.spec import GenerationSpec

_MAX_LOGITS = 1 << 28
"""Values of one forward pass over whole answers (1 GiB in float32): large vocabularies get smaller batches."""
_MIN_PROMPT = 8


@dataclass(frozen=True)
class Generated:
    """One row per prompt, in the order of the prompts."""

    texts: list[str]
    """Without special tokens and outer white space."""
    num_tokens: np.ndarray
    """[prompts] int64: tokens generated, the one that ends the answer included."""
    stopped: np.ndarray
    """[prompts] bool: the model ended its answer itself; False: cut at `max_new_tokens`."""
    num_prompt_tokens: np.ndarray
    """[prompts] int64: after cutting."""
    was_cut: np.ndarray
    """[prompts] bool: the prompt was too long and lost tokens on the left."""
    seconds: np.ndarray
    """[prompts] float64: the time of the prompt's batch, shared out among its prompts."""


class Generator:
    """A decoder or an encoder-decoder ready to answer. Safe to call from several threads after construction.

    Args:
        loaded: From `load_model` or `load_generative_base`, not a classifier; moved to the device.
        device: From `devices.choose`.
        max_length: Tokens of a prompt; longer ones lose tokens on the left, and more of them where the model's positions
            would not last for prompt and answer.
        batch_size: Prompts per forward pass. Prompts of like length go together, so that little is padded.
        settings: How to generate. Greedy (or beam search) whatever the model's own settings say; others of them hold.
        runner: Runs the batches of answers, likelihoods and embeddings; draws are run here, one after the other.

    Raises:
        BaseModelError: The model has too few positions for answers of `max_new_tokens`, or no token that ends an answer.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        device: Device,
        max_length: int,
        batch_size: int,
        settings: GenerationSpec,
        runner: Runner = run_all,
    ) -> None:
        assert loaded.kind != "classifier"
        self.device = device
        self.batch_size = batch_size
        self._runner = runner
        self._how = {"max_new_tokens": settings.max_new_tokens, "num_beams": settings.num_beams}
        self._model = loaded.model.to(device.device).eval()
        self._is_decoder = loaded.kind == "decoder"
        self._encoder = PromptEncoder(loaded.tokenizer, self._is_decoder)
        self._settings, self._eos = generation_config(loaded, settings)
        self._pad_id = int(self._settings.pad_token_id)
        self._positions = num_positions(self._model)
        self._max_prompt = max_length
        if self._positions is not None:
            room = self._positions - (settings.max_new_tokens if self._is_decoder else 0)
            if room < min(_MIN_PROMPT, max_length):
                hint = "--set evaluation.generation.max_new_tokens=" + str(max(1, self._positions // 2))
                message = f"The model has {self._positions} positions, too few for a prompt and {settings.max_new_tokens} tokens."
                raise BaseModelError(message, hint=hint)
            self._max_prompt = min(max_length, room)
        self._lock = threading.Lock()

    def check(self, prompts: Sequence[Prompt]) -> None:
        """See that the prompts can be encoded; nothing is generated.

        Raises:
            BaseModelError: The chat template refuses the turns of a prompt.
        """
        for prompt in prompts:
            self._encoder.prompt(prompt, self._max_prompt)

    def generate(self, prompts: Sequence[Prompt]) -> Generated:
        """Answer every prompt (none is fine).

        Raises:
            BaseModelError: The chat template refuses the turns of a prompt.
        """
        encoded = [self._encoder.prompt(prompt, self._max_prompt) for prompt in prompts]
        answers: list[list[int]] = [[] for _ in encoded]
        seconds = np.zeros(len(encoded))

        def run(rows: np.ndarray) -> Arrays:
            started = time.monotonic()
            found = self._answer([encoded[row].ids for row in rows])
            taken = np.full(len(rows), (time.monotonic() - started) / len(rows))
            length = np.array([len(ids) for ids in found], dtype=np.int64)
            ids = np.array([[*ids, *[0] * (int(length.max()) - len(ids))] for ids in found], dtype=np.int64)
            return {"ids": ids, "length": length, "seconds": taken}

        prompt_ids = [item.ids for item in encoded]
        batches = list(self._batches([len(ids) for ids in prompt_ids]))
        for rows, given in self._runner(Work("answers", [prompt_ids], batches, run, self._how)):
            for row, ids, length in zip(rows, given["ids"], given["length"], strict=True):
                answers[row] = ids[:length].tolist()
            seconds[rows] = given["seconds"]
        stopped = np.array([bool(ids) and ids[-1] in self._eos for ids in answers], dtype=bool)
        return Generated(
            texts=[self._encoder.text(ids) for ids in answers],
            num_tokens=np.array([len(ids) for ids in answers], dtype=np.int64),
            stopped=stopped,
            num_prompt_tokens=np.array([len(item.ids) for item in encoded], dtype=np.int64),
            was_cut=np.array([item.was_cut for item in encoded], dtype=bool),
            seconds=seconds,
        )

    def sample(self, prompts: Sequence[Prompt], temperature: float, seed: int) -> list[str]:
        """One drawn answer per prompt, the same each time for the same prompts and batch size on the same device.

        Draws from the whole vocabulary (no top-k or top-p). Not for several threads at once: torch's generator is shared; its
        state is put back.

        Raises:
            BaseModelError: The chat template refuses the turns of a prompt.
        """
        settings = copy.deepcopy(self._settings)
        settings.do_sample, settings.num_beams, settings.temperature = True, 1, temperature
        settings.top_k, settings.top_p = 0, 1.0  # None would stand for the library's own defaults
        encoded = [self._encoder.prompt(prompt, self._max_prompt).ids for prompt in prompts]
        texts = [""] * len(encoded)
        devices = [torch.cuda.current_device()] if self.device.device == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            for rows in self._batches([len(ids) for ids in encoded]):
                answers = self._answer([encoded[row] for row in rows], settings)
                for row, ids in zip(rows, answers, strict=True):
                    texts[row] = self._encoder.text(ids)
        return texts

    def text_losses(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray] | None:
        """How unlikely a decoder finds texts that are no answers: without chat template, after the token that begins a text.

        Models without such a token get the one that ends a text, as lm-evaluation-harness has it.

        Returns:
            Sum of -ln p over the text's tokens [rows] float64, and the UTF-8 bytes that they stand for [rows] int64; a text that
            exceeds the model's positions is cut. None: an encoder-decoder, which has no loss of a text alone.
        """
        if not self._is_decoder:
            return None
        cut = [self._encoder.plain(text, None if self._positions is None else self._positions - 1) for text in texts]
        start = [self._encoder.first_id(min(self._eos))]
        sums = np.zeros(len(cut))
        for rows in self._batches([len(ids) + 1 for ids, _ in cut], bounded=True):
            sums[rows] = self._score_decoder([start] * len(rows), [cut[row][0] for row in rows])
        return sums, np.array([num_bytes for _, num_bytes in cut], dtype=np.int64)

    def log_likelihoods(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """How unlikely the model finds each completion after its prompt, token by token with the true ones before it.

        Returns:
            Sum of -ln p over the completion's tokens [rows] float64, and their number [rows] int64. The token that ends the
            answer counts; prompt tokens do not. A completion that exceeds the model's positions is cut.

        Raises:
            BaseModelError: The chat template refuses the turns of a prompt.
        """
        encoded = [self._encoder.prompt(prompt, self._max_prompt).ids for prompt in prompts]
        targets = [
            self._encoder.completion(prompt, completion, self._eos)
            for prompt, completion in zip(prompts, completions, strict=True)
        ]
        if self._positions is not None:
            used = [len(ids) if self._is_decoder else 0 for ids in encoded]
            targets = [ids[: self._positions - start] for ids, start in zip(targets, used, strict=True)]
        widths = [len(ids) + len(target) for ids, target in zip(encoded, targets, strict=True)]
        sums = np.zeros(len(encoded))
        score = self._score_decoder if self._is_decoder else self._score_seq2seq

        def run(rows: np.ndarray) -> Arrays:
            return {"sums": score([encoded[row] for row in rows], [targets[row] for row in rows])}

        batches = list(self._batches(widths, bounded=True))
        for rows, given in self._runner(Work("likelihoods", [encoded, targets], batches, run)):
            sums[rows] = given["sums"]
        return sums, np.array([len(target) for target in targets], dtype=np.int64)

    def embed(self, prompts: Sequence[Prompt]) -> np.ndarray:
        """[prompts, hidden] float32: last hidden state of the prompt (the encoder's, if any), averaged over tokens."""
        encoded = [self._encoder.prompt(prompt, self._max_prompt).ids for prompt in prompts]
        embeddings = np.zeros((len(encoded), int(self._model.config.get_text_config().hidden_size)), dtype=np.float32)

        def run(rows: np.ndarray) -> Arrays:
            ids, mask = self._tensors(pad([encoded[row] for row in rows], self._pad_id))
            with torch.inference_mode(), self.device.autocast():
                if self._is_decoder:
                    output = self._model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
                    hidden = output.hidden_states[-1][:, -ids.shape[1] :]  # prompt tuning puts its own vectors first
                else:
                    hidden = self._model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
            weights = mask.unsqueeze(-1).float()
            return {"embeddings": ((hidden.float() * weights).sum(dim=1) / weights.sum(dim=1)).cpu().numpy()}

        batches = list(self._batches([len(ids) for ids in encoded], bounded=True))
        for rows, given in self._runner(Work("embeddings", [encoded], batches, run)):
            embeddings[rows] = given["embeddings"]
        return embeddings

    def _batches(self, widths: Sequence[int], *, bounded: bool = False) -> Iterator[np.ndarray]:
        """Positions of rows that go together: of like length, the longest last.

        Args:
            bounded: The forward pass gives logits at every place, so that long rows share a batch with fewer others.
        """
        order = np.argsort(widths, kind="stable")
        vocabulary = int(self._model.config.get_text_config().vocab_size)
        start = 0
        while start < len(order):
            size = self.batch_size
            while bounded and size > 1:
                widest = widths[order[min(start + size, len(order)) - 1]]
                if size * widest * vocabulary <= _MAX_LOGITS:
                    break
                size //= 2
            yield order[start : start + size]
            start += size

    def _tensors(self, tensors: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        return tensors[0].to(self.device.device), tensors[1].to(self.device.device)

    def _answer(self, prompts: list[list[int]], settings: Any = None) -> list[list[int]]:
        """New token ids per prompt, up to and with the one that ends the answer."""
        settings = settings or self._settings
        ids, mask = self._tensors((pad_left if self._is_decoder else pad)(prompts, self._pad_id))
        with torch.inference_mode(), self.device.autocast():
            if not is_adapted(self._model):
                output = self._model.generate(input_ids=ids, attention_mask=mask, generation_config=settings)
                start = ids.shape[1] if self._is_decoder else 1
            elif self._is_decoder:
                inputs, start = virtual_inputs(self._model, ids, mask, self._pad_id)
                output = self._model.get_base_model().generate(**inputs, generation_config=settings)
            else:
                with self._lock:  # PEFT changes methods of the base model while it generates
                    output = self._model.generate(input_ids=ids, attention_mask=mask, generation_config=settings)
                start = 1
        return [self._until_eos(row) for row in output[:, start:].tolist()]

    def _until_eos(self, ids: list[int]) -> list[int]:
        for position, token in enumerate(ids):
            if token in self._eos:
                return ids[: position + 1]
        return ids

    def _score_decoder(self, prompts: list[list[int]], targets: list[list[int]]) -> np.ndarray:
        rows = [[*prompt, *target] for prompt, target in zip(prompts, targets, strict=True)]
        ids, mask = self._tensors(pad(rows, self._pad_id))
        wanted = torch.full_like(ids, -100)
        for row, (prompt, target) in enumerate(zip(prompts, targets, strict=True)):
            end = len(prompt) + len(target)
            wanted[row, len(prompt) - 1 : end - 1] = ids[row, len(prompt) : end]  # each place predicts the next token
        with torch.inference_mode(), self.device.autocast():
            logits = self._model(input_ids=ids, attention_mask=mask).logits[:, -ids.shape[1] :]
        return _sum_nll(logits, wanted)

    def _score_seq2seq(self, prompts: list[list[int]], targets: list[list[int]]) -> np.ndarray:
        ids, mask = self._tensors(pad(prompts, self._pad_id))
        wanted, target_mask = self._tensors(pad(targets, self._pad_id))
        start = int(self._settings.decoder_start_token_id)
        before = torch.cat([torch.full_like(wanted[:, :1], start), wanted[:, :-1]], dim=1)
        with torch.inference_mode(), self.device.autocast():
            logits = self._model(input_ids=ids, attention_mask=mask, decoder_input_ids=before).logits
        return _sum_nll(logits[:, -wanted.shape[1] :], wanted.masked_fill(target_mask == 0, -100))


def _sum_nll(logits: torch.Tensor, wanted: torch.Tensor) -> np.ndarray:
    """[rows] float64: sum of -ln p(wanted) over the places that are not -100."""
    losses = cross_entropy(logits.float().transpose(1, 2), wanted, ignore_index=-100, reduction="none")
    sums: np.ndarray = losses.double().sum(dim=1).cpu().numpy()
    return sums
