"""Domain adaptation: the base model reads plain text of its future field before it is fine-tuned (Gururangan et al. 2020,
arXiv:2004.10964). Encoders guess masked tokens, decoders the next one."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    PreTrainedModel,
    TrainingArguments,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_FOR_MASKED_LM_MAPPING_NAMES
from transformers.utils import logging as transformers_logging

from ftcore.errors import BaseModelError, DataRefused
from ftcore.models.base import BaseModel
from ftcore.models.tokens import backend_tokenizer, pad
from ftcore.spec import AdaptSpec, Task, TrainingSpec
from ftcore.store import Manifest
from ftcore.training.conversations import IGNORED
from ftcore.training.findings import Finding
from ftcore.training.history import History
from ftcore.training.settings import of_phase
from ftcore.training.tasks import PROBE_ROWS, TrainingTask, load_weights
from ftcore.training.trainer import DurableTrainer, say

MIN_TEXTS = 20
_HELD_OUT = 0.05
"""Share of the texts that choose the checkpoint. They belong to adaptation alone: no validation or test row is among them."""
_MASKED, _RANDOM = 0.8, 0.1
"""Of the tokens to guess: shown as the mask token, shown as another token; the rest as they are (Devlin et al. 2018)."""

_MOST_UNKNOWN = 0.1
"""Tokens that the tokenizer does not know, per token that it knows."""

Piece = tuple[list[int], int]


class Pieces(Dataset[Piece]):  # type: ignore[misc]
    """Token ids of pieces of text, each with its number."""

    def __init__(self, tokens: Sequence[list[int]]) -> None:
        self.tokens = list(tokens)

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, row: int) -> Piece:
        return self.tokens[row], row


class Adaptation(TrainingTask):
    """Plain texts; the saved folder is a base model again, with the family's own architecture.

    Args:
        texts: What to read; some are held out to choose the checkpoint.
        base: The base model.
        training: Batch size, warm-up and the like; rate, epochs and lengths come from `adapt`.
        adapt: See there.

    Raises:
        DataRefused: Fewer than 20 texts.
        BaseModelError: The base model is neither an encoder nor a decoder, or has no mask token to guess.
    """

    peft_type = "FEATURE_EXTRACTION"

    def __init__(self, texts: Sequence[str], base: BaseModel, training: TrainingSpec, adapt: AdaptSpec) -> None:
        texts = list(dict.fromkeys(text.strip() for text in texts if text.strip()))
        if len(texts) < MIN_TEXTS:
            raise DataRefused(
                f"{len(texts)} different texts to adapt to; wanted at least {MIN_TEXTS}.",
                hint="--set method.adapt.columns=[text], or name files in method.adapt.texts",
            )
        max_length = adapt.max_length or training.max_length
        training = of_phase(
            training, epochs=adapt.epochs, learning_rate=adapt.learning_rate, max_length=max_length, patience=0
        )
        held_out = [text for text in texts if _is_held_out(text)] or texts[:1]
        read = [text for text in texts if not _is_held_out(text)]
        super().__init__([{"text": text} for text in read], [{"text": text} for text in held_out], base, training)
        self.mask_fraction = adapt.mask_fraction
        self.masked = _reads_both_ways(base)
        if self.masked and self.tokenizer.mask_token_id is None:
            raise BaseModelError(
                f"The tokenizer of {base.name} has no mask token; an encoder cannot be adapted without."
            )
        self.train = Pieces(self._pieces(read))
        self.validation = Pieces(sorted(self._pieces(held_out), key=len))
        self.num_train = len(self.train)

    name = "classification"  # of the model that follows; adaptation itself has no name in a spec

    def _pieces(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids in pieces of at most `max_length`, each with the special tokens that the model expects."""
        ends = [] if self.masked or self.tokenizer.eos_token_id is None else [int(self.tokenizer.eos_token_id)]
        backend = backend_tokenizer(self.tokenizer, self.training.max_length - len(ends))
        pieces = []
        for encoding in backend.encode_batch(list(texts)):
            of_text = [encoding.ids, *(rest.ids for rest in encoding.overflowing)]
            if of_text[-1][-1:] != ends:  # a decoder also learns where a text ends
                of_text[-1] = [*of_text[-1], *ends]
            pieces += of_text
        return pieces

    def load(self, champion: BaseModel | None, attention: str | None) -> PreTrainedModel:
        """Raises:
        BaseModelError: transformers cannot load it as a language model.
        """
        kind, what = (AutoModelForMaskedLM, "a masked") if self.masked else (AutoModelForCausalLM, "a causal")
        model = load_weights(
            kind, self.base, f"{what} language model", fresh_head=self.masked, attn_implementation=attention
        )
        if self.masked and _lacks_head(self.base):
            say(
                f"{self.base.name} has no trained head for masked tokens (sentence encoders are saved without): one begins "
                "from nothing above the tied embeddings, so the first losses are high"
            )
        return model

    def trainer(self, model: nn.Module, history: History, arguments: dict[str, Any]) -> ReadingTrainer:
        return ReadingTrainer(
            model,
            history,
            self.training,
            task=self,
            args=TrainingArguments(prediction_loss_only=True, label_names=["labels"], **arguments),
            train_dataset=self.train,
            eval_dataset=self.validation,
            data_collator=self.collate,
        )

    def collate(self, pieces: Sequence[Piece]) -> dict[str, torch.Tensor]:
        """`input_ids`, `attention_mask`, `labels` [pieces, longest] and `rows` [pieces]; encoders: tokens are masked later."""
        input_ids, attention_mask = pad([tokens for tokens, _ in pieces], self.pad_id)
        labels = input_ids.masked_fill(attention_mask == 0, IGNORED)
        return {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "labels": labels,
            "rows": torch.tensor([row for _, row in pieces]),
        }

    def hide(self, batch: dict[str, torch.Tensor], salt: int) -> dict[str, torch.Tensor]:
        """Mask tokens of a batch: a function of seed, row and `salt` alone, however rows are cut into batches.

        `labels` keep only the tokens to guess.
        """
        ids, labels = batch["input_ids"].clone(), batch["labels"].clone()
        for at, row in enumerate(batch["rows"].tolist()):
            content = self._content(labels[at])
            generator = torch.Generator().manual_seed(_mixed(self.training.seed, salt, row))
            num_hidden = self._num_hidden(len(content))
            order = torch.randperm(len(content), generator=generator)[:num_hidden]
            fate = torch.rand(num_hidden, generator=generator).tolist()
            other = torch.randint(len(self.tokenizer), (num_hidden,), generator=generator).tolist()
            hidden = [content[place] for place in order.tolist()]
            shown = torch.ones(labels.shape[1], dtype=torch.bool, device=labels.device)
            shown[hidden] = False
            labels[at, shown] = IGNORED
            for place, chance, token in zip(hidden, fate, other, strict=True):
                if chance < _MASKED:
                    ids[at, place] = self.tokenizer.mask_token_id
                elif chance < _MASKED + _RANDOM:
                    ids[at, place] = token
        return {**batch, "input_ids": ids, "labels": labels}

    def num_to_guess(self, batch: dict[str, torch.Tensor]) -> int:
        """Tokens of a batch that its loss is the mean of, whatever `salt` hides; at least 1."""
        labels = batch["labels"]
        if not self.masked:
            return max(1, int((labels[:, 1:] != IGNORED).sum()))
        return max(1, sum(self._num_hidden(len(self._content(row))) for row in labels))

    def _content(self, labels: torch.Tensor) -> list[int]:
        """Places of a row's tokens that may be hidden."""
        return [place for place, token in enumerate(labels.tolist()) if token != IGNORED and token not in self._special]

    def _num_hidden(self, num_content: int) -> int:
        return min(max(1, round(self.mask_fraction * num_content)), num_content)

    @functools.cached_property
    def _special(self) -> frozenset[int]:
        return frozenset(self.tokenizer.all_special_ids)

    def lint(self, model: nn.Module) -> list[Finding]:
        """Tokens to guess are there, and are known ones."""
        tokens = [token for piece in self.train.tokens for token in piece]
        unknown = tokens.count(self.tokenizer.unk_token_id) if self.tokenizer.unk_token_id is not None else 0
        learnt = sum(token not in self._special for token in tokens)
        message = f"{learnt:,} tokens to read in {len(self.train):,} pieces; {unknown:,} more that the tokenizer does not know"
        hint = "look whether the base model's tokenizer fits the language of the texts"
        if not learnt:
            return [Finding("texts", "fault", message, hint)]
        return [
            Finding("texts", "doubt" if unknown > _MOST_UNKNOWN * learnt else "ok", message, hint if unknown else "")
        ]

    def logits(self, model: nn.Module) -> torch.Tensor:
        """Last hidden states: the head above them is not kept."""
        rows = self.validation.tokens[:: max(1, len(self.validation) // PROBE_ROWS)]
        input_ids, attention_mask = pad(rows, self.pad_id)
        with torch.inference_mode():
            output = model.base_model(input_ids=input_ids, attention_mask=attention_mask)
        hidden: torch.Tensor = output.last_hidden_state[attention_mask.bool()]
        return hidden

    def save(self, model: PreTrainedModel, folder: Path) -> str:
        """An encoder in the base's own architecture (with its pooler, which stays as it was); a decoder with its head."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.masked:
            whole = load_weights(AutoModel, self.base, "an encoder")
            whole.load_state_dict(model.base_model.state_dict(), strict=False)
            model = whole
        model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        manifest = Manifest.of(folder)
        manifest.write(folder)
        return manifest.digest

    def reload(self, folder: Path) -> nn.Module:
        kind = AutoModel if self.masked else AutoModelForCausalLM
        return load_weights(kind, BaseModel(folder, "", "the adapted model"), "a base model").eval()


class ReadingTrainer(DurableTrainer):
    """Mean loss over the tokens to guess. Masks differ from epoch to epoch; those of validation never change."""

    def __init__(
        self, model: nn.Module, history: History, training: TrainingSpec, *, task: Adaptation, **arguments: Any
    ) -> None:
        super().__init__(model, history, training, **arguments)
        self.task = task
        self.model_accepts_loss_kwargs = (
            True  # the loss below divides by the tokens to guess of the whole optimiser step
        )

    def num_items(self, batch: dict[str, Any]) -> int:
        """Tokens to guess."""
        return self.task.num_to_guess(batch)

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Any:
        """Tokens to guess of several batches; before they are hidden, labels name every token."""
        if super()._get_num_items_in_batch(batch_samples, device) is None:
            return None
        return torch.tensor(sum(map(self.task.num_to_guess, batch_samples)), device=device)

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:  # fmt: skip
        """Cross-entropy of the masked tokens (encoder) or of every next token (decoder)."""
        if self.task.masked:
            inputs = self.task.hide(inputs, self.state.global_step + 1 if model.training else 0)
        outputs = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        logits, labels = outputs.logits, inputs["labels"]
        if not self.task.masked:
            logits, labels = logits[:, :-1], labels[:, 1:]
        learnt = labels != IGNORED
        total = nn.functional.cross_entropy(logits[learnt].float(), labels[learnt], reduction="sum")
        loss = self.mean_of_step(total, learnt.sum().clamp(min=1), num_items_in_batch)
        return (loss, outputs) if return_outputs else loss


def make_adaptation(
    task: Task, texts: Sequence[str], base: BaseModel, training: TrainingSpec, adapt: AdaptSpec
) -> Adaptation:
    """Adaptation of the base model of a task.

    Raises:
        BaseModelError, DataRefused: As `Adaptation`; also an encoder for task instruction.
    """
    job = Adaptation(texts, base, training, adapt)
    if task == "instruction" and job.masked:
        raise BaseModelError(f"{base.name} is an encoder; task instruction wants a decoder.")
    job.made_of = {"task": task, "texts": texts, "base": base, "training": training, "adapt": adapt}
    return job


def _reads_both_ways(base: BaseModel) -> bool:
    """True for encoders, False for decoders.

    Raises:
        BaseModelError: Neither, or both.
    """
    transformers_logging.set_verbosity_error()
    config = AutoConfig.from_pretrained(base.path, local_files_only=True)
    kind = str(config.model_type)
    if config.is_encoder_decoder:
        raise BaseModelError(
            f"{base.name} is an encoder-decoder model ({kind}); adaptation is for encoders and decoders.",
            hint="--set method.adapt=null",
        )
    if kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return True
    if kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return False
    raise BaseModelError(f"{base.name} ({kind}) is no language model that transformers could go on training on text.")


def _lacks_head(base: BaseModel) -> bool:
    """True if the folder's weights hold nothing outside of the encoder that guesses tokens."""
    from safetensors import safe_open

    names: set[str] = set()
    for path in base.path.glob("model*.safetensors"):
        with safe_open(path, framework="pt") as file:
            names |= set(file.keys())
    marks = ("cls.predictions", "lm_head", "vocab_transform", "head.dense", "lm_predictions", "decoder.")
    return not any(name.startswith(marks) for name in names)


def _is_held_out(text: str) -> bool:
    """By the text alone, so that more texts change nothing for the rest."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") < _HELD_OUT * 2**32


def _mixed(seed: int, salt: int, row: int) -> int:
    digest = hashlib.sha256(f"{seed} {salt} {row}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
