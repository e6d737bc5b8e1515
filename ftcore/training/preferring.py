"""Preference refinement: the tuned model learns from ratings, by TRL's KTOTrainer (thumbs; Ethayarajh et al. 2024,
arXiv:2402.01306) or DPOTrainer (pairs; Rafailov et al. 2023, arXiv:2305.18290).

The reference is the model as it was: a frozen copy, or the model with its adapter off.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from datasets import Dataset
from datasets.utils import logging as datasets_logging
from torch import nn
from torch.utils.data import Sampler
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.kto_config import KTOConfig
from trl.trainer.kto_trainer import KTOTrainer

from ftcore.errors import DataRefused
from ftcore.models.base import BaseModel
from ftcore.spec import PreferSpec, TrainingSpec
from ftcore.training.conversations import encode, encode_prompt
from ftcore.training.findings import Finding
from ftcore.training.history import History
from ftcore.training.instruction import Instruction
from ftcore.training.lint import chat_round_trip
from ftcore.training.methods import saving
from ftcore.training.settings import of_phase
from ftcore.training.tasks import Rows
from ftcore.training.trainer import DurableTrainer

_NO_ANSWER = {"role": "assistant", "content": ""}
_HELD_OUT = 0.1
"""Share of the ratings that choose the checkpoint."""


class Preference(Instruction):
    """Ratings of answers on top of a tuned model.

    Args:
        ratings: Rows of `ftcore.data.preferences`; some are held out, by their prompts, to choose the checkpoint.
        validation_rows: Conversations; the saved model must give the same logits on them.
        base: The tuned model.
        training: Batch size, token limit and the like; rate and epochs come from `prefer`.
        prefer: See there.

    Raises:
        DataRefused: Fewer than two ratings, or answers that do not fit into `training.max_length`.
        BaseModelError: As `Instruction`.
    """

    def __init__(
        self, ratings: Rows, validation_rows: Rows, base: BaseModel, training: TrainingSpec, prefer: PreferSpec
    ) -> None:
        training = of_phase(training, epochs=prefer.epochs, learning_rate=prefer.learning_rate)
        super().__init__(validation_rows, validation_rows, base, training)
        self.prefer = prefer
        self.fewest_rows = 2 if prefer.algorithm == "kto" else 1
        held_out = [row for row in ratings if _is_held_out(row)]
        read = [row for row in ratings if not _is_held_out(row)]
        if not held_out:
            read, held_out = read[1:], read[:1]
        if not read or not held_out:
            message = f"{len(ratings)} ratings to learn from; wanted at least two with different prompts."
            raise DataRefused(message, hint="add files to method.prefer.data")
        read.sort(key=_number)  # KTO compares answers with those next to them, which must not be of one customer
        self._refuse_long_prompts(ratings)
        self.rated, self.rated_held_out = (
            Dataset.from_list([_for_trl(row) for row in rows]) for rows in (read, held_out)
        )
        self.num_train = len(read)
        self._ratings = read

    def _refuse_long_prompts(self, rows: Rows) -> None:
        """TRL would leave such rows out without a word."""
        size = self.training.max_length
        too_long = sum(len(encode_prompt(self.tokenizer, [*row["prompt"], _NO_ANSWER])) >= size for row in rows)
        if too_long:
            raise DataRefused(
                f"{too_long} of {len(rows)} rated prompts leave no room for an answer within training.max_length {size}.",
                hint="--set training.max_length=1024",
            )

    def trainer(self, model: nn.Module, history: History, arguments: dict[str, Any]) -> DurableTrainer:
        datasets_logging.disable_progress_bar()
        kto = self.prefer.algorithm == "kto"
        settings = {**arguments, "beta": self.prefer.beta, "max_length": self.training.max_length}
        reference = None if _is_plain_lora(model) else self.load(None, None).requires_grad_(False)
        kind: Any = RatedAnswerTrainer if kto else PairTrainer
        trainer: DurableTrainer = kind(
            model,
            history,
            self.training,
            ref_model=reference,
            args=KTOConfig(**settings) if kto else DPOConfig(**settings),
            train_dataset=self.rated,
            eval_dataset=self.rated_held_out,
            processing_class=self.tokenizer,
        )
        return trainer

    def lint(self, model: nn.Module) -> list[Finding]:
        return self.lint_ratings()

    def lint_ratings(self) -> list[Finding]:
        """Both kinds of answers are there and whole, and prompts are tokenized as generation does it."""
        kinds = ("chosen", "rejected") if self.prefer.algorithm == "dpo" else ("completion",)
        whole = [
            {"messages": [*row["prompt"], {"role": "assistant", "content": str(row[kind])}]}
            for row in self._ratings
            for kind in kinds
        ]
        return [self._both_kinds(whole), chat_round_trip(self.tokenizer, whole)]

    def _both_kinds(self, whole: Rows) -> Finding:
        size = self.training.max_length
        cut = sum(encode(self.tokenizer, row["messages"], size).answer_is_cut for row in whole)
        lost = f"; {cut:,} of {len(whole):,} answers lose their end" if cut else ""
        hint = f"--set training.max_length={size * 2}" if cut else ""
        if self.prefer.algorithm == "dpo":
            same = sum(row["chosen"] == row["rejected"] for row in self._ratings)
            message = f"{len(self._ratings):,} pairs, {same:,} of them of the same answer twice{lost}"
            return Finding(
                "ratings", "fault" if same == len(self._ratings) else "doubt" if same or cut else "ok", message, hint
            )
        ups = sum(bool(row["rating"]) for row in self._ratings)
        message = f"{ups:,} thumbs up, {len(self._ratings) - ups:,} down{lost}"
        return Finding("ratings", "ok" if 0 < ups < len(self._ratings) and not cut else "doubt", message, hint)


def _is_plain_lora(model: Any) -> bool:
    """True if a second, frozen adapter that TRL puts beside the first one says what the model was: an adapter that takes its
    first values out of the base weights would take them out twice."""
    config = getattr(model, "peft_config", {}).get("default")
    return config is not None and config.peft_type == "LORA" and not saving.changes_base(model)


class _Ratings(DurableTrainer):
    """What TRL's preference trainers have in common."""

    sequences_per_row = 1

    def num_items(self, batch: dict[str, Any]) -> int:
        """Rows: pairs, or rated answers."""
        return len(batch["input_ids"]) // self.sequences_per_row

    def training_step(self, *arguments: Any, **named: Any) -> torch.Tensor:
        loss = super().training_step(*arguments, **named)
        self._metrics["train"].clear()  # TRL's lists would grow with every step: nothing logs them here
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        seen = self._metrics["eval"].pop("rewards/accuracies", [])  # pairs whose better answer gained more
        self._metrics["eval"].clear()
        if "eval_loss" in logs and seen:
            logs = {**logs, "eval_accuracy": self._mean(seen)}
        super().log(logs, start_time)


class PairTrainer(_Ratings, DPOTrainer):  # type: ignore[misc]
    """TRL's DPOTrainer with this project's habits."""

    sequences_per_row = 2

    def token_lists(self, rows: Any) -> list[list[int]]:
        """Prompt and both answers."""
        parts = zip(rows["prompt_ids"], rows["chosen_ids"], rows["rejected_ids"], strict=True)
        return [prompt + chosen + rejected for prompt, chosen, rejected in parts]

    def lengths(self, rows: Any) -> list[int]:
        """Of the longer of the two sequences."""
        longest = (max(len(a), len(b)) for a, b in zip(rows["chosen_ids"], rows["rejected_ids"], strict=True))
        return [len(prompt) + more for prompt, more in zip(rows["prompt_ids"], longest, strict=True)]


class RatedAnswerTrainer(_Ratings, KTOTrainer):  # type: ignore[misc]
    """TRL's KTOTrainer with this project's habits."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        rows = train_dataset or self.train_dataset
        # Whole optimiser steps, so that smaller forward passes after running out of memory do not change the order.
        return BlockSampler(
            len(rows), self.args.train_batch_size * self.args.gradient_accumulation_steps, self.args.seed
        )

    def token_lists(self, rows: Any) -> list[list[int]]:
        """Prompt and answer."""
        return [prompt + answer for prompt, answer in zip(rows["prompt_ids"], rows["completion_ids"], strict=True)]


class BlockSampler(Sampler[int]):  # type: ignore[misc]
    """Shuffles batches, never rows between batches.

    KTO estimates how far the model has moved from each prompt with its neighbour's answer: these pairs are
    made once, batch by batch. The order depends on seed and epoch alone; a batch that is not full stays last.
    """

    def __init__(self, num_rows: int, batch_size: int, seed: int) -> None:
        self.num_rows, self.batch_size, self.seed, self.epoch = num_rows, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.num_rows

    def __iter__(self) -> Iterator[int]:
        num_full = self.num_rows // self.batch_size
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        for block in torch.randperm(num_full, generator=generator).tolist():
            yield from range(block * self.batch_size, (block + 1) * self.batch_size)
        yield from range(num_full * self.batch_size, self.num_rows)


def make_preference(
    ratings: Rows, validation_rows: Rows, tuned: BaseModel, training: TrainingSpec, prefer: PreferSpec
) -> Preference:
    """Refinement of a tuned model.

    Raises:
        DataRefused, BaseModelError: As `Preference`; also one row per forward pass with KTO, which compares the rows of a pass.
    """
    size = "micro_batch_size" if training.micro_batch_size == 1 and training.batch_size > 1 else "batch_size"
    if prefer.algorithm == "kto" and getattr(training, size) == 1:
        message = f"KTO compares the rows of a forward pass; saw training.{size} 1."
        raise DataRefused(message, hint=f"--set training.{size}={8 if size == 'batch_size' else 'null'}")
    return Preference(ratings, validation_rows, tuned, training, prefer)


def _for_trl(row: Mapping[str, Any]) -> dict[str, Any]:
    def answer(part: str) -> list[dict[str, str]]:
        return [{"role": "assistant", "content": str(row[part])}]

    prompt = [dict(turn) for turn in row["prompt"]]
    if "rating" in row:
        return {"prompt": prompt, "completion": answer("completion"), "label": bool(row["rating"])}
    return {"prompt": prompt, "chosen": answer("chosen"), "rejected": answer("rejected")}


def _number(row: Mapping[str, Any]) -> str:
    """Of the row with its answers: a fixed order that has nothing to do with the file's."""
    parts = [str(row.get(part)) for part in ("id", "text", "completion", "chosen")]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _is_held_out(row: Mapping[str, Any]) -> bool:
    """By the prompt alone: answers to one prompt stay together, and more ratings change nothing for the rest."""
    return int.from_bytes(hashlib.sha256(str(row["text"]).encode()).digest()[:4], "big") < _HELD_OUT * 2**32
