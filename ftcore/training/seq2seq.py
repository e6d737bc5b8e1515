"""Encoder-decoder models (T5, BART): one text in, another out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForSeq2SeqLM, DataCollatorForSeq2Seq, PreTrainedModel, TrainingArguments

from ftcore.models.base import BaseModel
from ftcore.models.loading import load_model, save_model
from ftcore.models.tokens import backend_tokenizer
from ftcore.spec import TrainingSpec
from ftcore.training.history import History
from ftcore.training.tasks import PROBE_ROWS, Rows, TrainingTask, load_weights
from ftcore.training.trainer import DurableTrainer


class PairDataset(torch.utils.data.Dataset[dict[str, list[int]]]):  # type: ignore[misc]
    """Token ids of question and answer, in memory."""

    def __init__(self, sources: Sequence[list[int]], targets: Sequence[list[int]]) -> None:
        self.tokens, self.targets = list(sources), list(targets)

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, row: int) -> dict[str, list[int]]:
        ids = self.tokens[row]
        return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": self.targets[row]}


class Seq2Seq(TrainingTask):
    """Rows with `text` and `completion`; both are cut at `training.max_length` tokens."""

    name = "seq2seq"
    peft_type = "SEQ_2_SEQ_LM"

    def __init__(self, train_rows: Rows, validation_rows: Rows, base: BaseModel, training: TrainingSpec) -> None:
        super().__init__(train_rows, validation_rows, base, training)
        self._backend = backend_tokenizer(self.tokenizer, training.max_length)
        self.train = self._encode(train_rows)
        self.validation = self._encode(sorted(validation_rows, key=lambda row: len(row["text"])))
        self.num_train = len(self.train)
        self._collator: DataCollatorForSeq2Seq | None = None

    def _encode(self, rows: Rows) -> PairDataset:
        sources, targets = (
            [item.ids for item in self._backend.encode_batch_fast([row[part] for row in rows])]
            for part in ("text", "completion")
        )
        return PairDataset(sources, targets)

    def load(self, champion: BaseModel | None, attention: str | None) -> PreTrainedModel:
        """Raises:
        BaseModelError: transformers cannot load it as an encoder-decoder model.
        """
        settings = {"attn_implementation": attention, **self.loading}
        return load_weights(AutoModelForSeq2SeqLM, champion or self.base, "an encoder-decoder model", **settings)

    def trainer(self, model: nn.Module, history: History, arguments: dict[str, Any]) -> DurableTrainer:
        arguments = {**arguments, "label_smoothing_factor": self.training.label_smoothing}
        return DurableTrainer(
            model,
            history,
            self.training.patience,
            args=TrainingArguments(prediction_loss_only=True, **arguments),
            train_dataset=self.train,
            eval_dataset=self.validation,
            data_collator=self._batches(model),
        )

    def logits(self, model: nn.Module) -> torch.Tensor:
        rows = [
            self.validation[at] for at in range(0, len(self.validation), max(1, len(self.validation) // PROBE_ROWS))
        ]
        batch = self._batches(model)(rows)
        with torch.inference_mode():
            logits = model(**batch).logits
        read: torch.Tensor = logits[batch["labels"] != -100]
        return read

    def _batches(self, model: nn.Module) -> DataCollatorForSeq2Seq:
        """Pads, and shifts the answer to the right for the decoder as the model does it."""
        return DataCollatorForSeq2Seq(self.tokenizer, model=getattr(model, "base_model", model))

    def save(self, model: PreTrainedModel, folder: Path) -> str:
        return save_model(model, self.tokenizer, folder)

    def reload(self, folder: Path) -> nn.Module:
        return load_model(folder).model
