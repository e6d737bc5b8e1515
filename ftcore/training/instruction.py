"""Instruction tuning of decoders by TRL's SFTTrainer: conversations in, loss on the answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedModel
from trl.trainer import utils as trl_utils
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling, SFTTrainer

from ftcore.data.templates import load_chat_tokenizer
from ftcore.errors import BaseModelError, DataRefused
from ftcore.models.base import BaseModel
from ftcore.models.loading import load_model, save_model
from ftcore.models.tokens import pad
from ftcore.spec import TrainingSpec
from ftcore.training.conversations import IGNORED, Encoded, encode
from ftcore.training.findings import Finding
from ftcore.training.history import History
from ftcore.training.lint import answers_left, chat_round_trip, stop_learnt
from ftcore.training.packing import PackingCollator
from ftcore.training.tasks import PROBE_ROWS, Rows, TrainingTask, load_weights, stop_ids
from ftcore.training.trainer import DurableTrainer, say

SCORED_AT_A_TIME = 1024
"""Tokens for which scores of the whole vocabulary are in memory together, on CPUs. TRL takes 32,768, and does not leave out those
that need none (prompts, padding) there: eight copies of that were more than the rest of a training took."""


class Instruction(TrainingTask):
    """Rows with `messages`; the model learns to write the last turn (or every turn of its own, or everything)."""

    name = "instruction"
    peft_type = "CAUSAL_LM"

    def __init__(self, train_rows: Rows, validation_rows: Rows, base: BaseModel, training: TrainingSpec) -> None:
        super().__init__(train_rows, validation_rows, base, training)
        self.tokenizer = load_chat_tokenizer(base.path)
        self.train = self._encode("training", train_rows)
        validation = self._encode("validation", validation_rows)
        self.validation = sorted(validation, key=lambda row: len(row.input_ids))  # with a fixed order this pads least
        self.num_train = len(self.train)
        self._messages = train_rows

    def _encode(self, split: str, rows: Rows) -> list[Encoded]:
        encoded = [
            encode(self.tokenizer, row["messages"], self.training.max_length, self.training.loss_on) for row in rows
        ]
        cut = sum(row.answer_is_cut for row in encoded)
        if cut:
            say(
                f"{cut:,} of {len(rows):,} {split} rows have answers too long for training.max_length; their ends are cut"
            )
        if not any(label != IGNORED for row in encoded for label in row.labels[1:]):
            raise DataRefused(
                f"No {split} row has an answer token left within training.max_length {self.training.max_length}.",
                hint="--set training.max_length=512",
            )
        return encoded

    def load(self, champion: BaseModel | None, attention: str | None) -> PreTrainedModel:
        """Raises:
        BaseModelError: transformers cannot load it as a causal language model.
        """
        settings = {"attn_implementation": attention, **self.loading}
        model = load_weights(AutoModelForCausalLM, champion or self.base, "a causal language model", **settings)
        if any("MaskedLM" in name for name in model.config.architectures or ()):
            raise BaseModelError(
                f"{self.base.name} is an encoder: it sees the words that it would have to write.",
                hint="name a decoder (Llama, Qwen, …) for task instruction",
            )
        return model

    def trainer(self, model: nn.Module, history: History, arguments: dict[str, Any]) -> AnswerTrainer:
        padded = DataCollatorForLanguageModeling(pad_token_id=self.pad_id)
        return AnswerTrainer(
            model,
            history,
            self.training,
            args=SFTConfig(max_length=None, **arguments),
            train_dataset=to_dataset(self.train),
            eval_dataset=to_dataset(self.validation),
            data_collator=PackingCollator(self.pad_id, self.training.max_length) if self.training.packing else padded,
            processing_class=self.tokenizer,
        )

    def lint(self, model: nn.Module) -> list[Finding]:
        labels, cut = [row.labels for row in self.train], [row.answer_is_cut for row in self.train]
        return [
            answers_left(self.train, self.training.max_length),
            stop_learnt(labels, cut, stop_ids(model, self.tokenizer)),
            chat_round_trip(self.tokenizer, self._messages),
        ]

    def logits(self, model: nn.Module) -> torch.Tensor:
        rows = self.validation[:: max(1, len(self.validation) // PROBE_ROWS)]
        input_ids, attention_mask = pad([row.input_ids for row in rows], self.pad_id)
        with torch.inference_mode():
            logits = model(input_ids=input_ids, attention_mask=attention_mask).logits[:, -input_ids.shape[1] :]
        read: torch.Tensor = logits[attention_mask.bool()]  # of virtual tokens none
        return read

    def save(self, model: PreTrainedModel, folder: Path) -> str:
        return save_model(model, self.tokenizer, folder)

    def reload(self, folder: Path) -> nn.Module:
        return load_model(folder).model


if not torch.cuda.is_available():
    trl_utils._CHUNKED_LOGPROB_CHUNK_SIZE = SCORED_AT_A_TIME


class AnswerTrainer(DurableTrainer, SFTTrainer):  # type: ignore[misc]
    """TRL's SFTTrainer with this project's habits; rows come with ids and labels."""

    def __init__(self, model: nn.Module, history: History, training: TrainingSpec, **arguments: Any) -> None:
        super().__init__(model, history, training, **arguments)
        self.model_accepts_loss_kwargs = True  # TRL divides by the answer tokens of the whole step, whatever the model
        self._loss_shifts_labels = True

    def token_lists(self, rows: Any) -> list[list[int]]:
        return list(rows["input_ids"])

    def without_targets(self, batch: dict[str, Any]) -> dict[str, Any]:
        """TRL adds up right tokens over all processes, those of spare batches among them."""
        return {**batch, "labels": torch.full_like(batch["labels"], IGNORED)}

    def training_step(self, *arguments: Any, **named: Any) -> torch.Tensor:
        loss = super().training_step(*arguments, **named)
        self._metrics["train"].clear()  # TRL's lists would grow with every step: nothing logs them here
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        seen = self._metrics["eval"].pop("mean_token_accuracy", [])
        self._metrics["eval"].clear()
        if "eval_loss" in logs and seen:
            logs = {**logs, "eval_accuracy": self._mean(seen)}
        super().log(logs, start_time)


def to_dataset(rows: Sequence[Encoded]) -> Dataset:
    """Ids and labels as TRL reads them."""
    return Dataset.from_dict({"input_ids": [row.input_ids for row in rows], "labels": [row.labels for row in rows]})
