"""Classifiers that learn a teacher's probabilities besides the labels."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset
from transformers import TrainingArguments

from ftcore.errors import DataRefused
from ftcore.models.adapters import plain_model
from ftcore.models.base import BaseModel
from ftcore.spec import DistillSpec, TrainingSpec
from ftcore.training.classification import Classification, ClassifierTrainer, class_weights
from ftcore.training.examples import TokenDataset, collate
from ftcore.training.history import History
from ftcore.training.tasks import Rows
from ftcore.training.teachers import mean_hidden, soft_loss

TaughtRow = tuple[list[int], int, torch.Tensor, torch.Tensor]


class TaughtDataset(Dataset[TaughtRow]):  # type: ignore[misc]
    """Rows with what the teacher says of them."""

    def __init__(self, rows: TokenDataset, outputs: dict[str, torch.Tensor]) -> None:
        self.rows, self.tokens = rows, rows.tokens
        self.logits, self.embeddings = outputs["logits"], outputs["embeddings"]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> TaughtRow:
        return (*self.rows[row], self.logits[row], self.embeddings[row])


def collate_taught(rows: Sequence[TaughtRow], pad_id: int) -> dict[str, torch.Tensor]:
    """`collate` with `teacher_logits` [rows, classes] and `teacher_embeddings` [rows, hidden]."""
    batch = collate([(tokens, target) for tokens, target, _, _ in rows], pad_id)
    logits = torch.stack([logits for _, _, logits, _ in rows])
    return {**batch, "teacher_logits": logits, "teacher_embeddings": torch.stack([row[3] for row in rows])}


class DistilledClassification(Classification):
    """Classification with a teacher.

    Args:
        outputs: From `teacher_outputs`, one row per row of `train_rows`.
        distill: Temperature and weights.
        See `Classification` for the others.
    """

    def __init__(
        self,
        train_rows: Rows,
        validation_rows: Rows,
        labels: tuple[str, ...],
        base: BaseModel,
        training: TrainingSpec,
        outputs: dict[str, torch.Tensor],
        distill: DistillSpec,
    ) -> None:
        super().__init__(train_rows, validation_rows, labels, base, training)
        self.distill = distill
        self.taught = TaughtDataset(self.train, outputs)

    def trainer(self, model: nn.Module, history: History, arguments: dict[str, Any]) -> DistilledTrainer:
        """Raises:
        DataRefused: Embeddings are to be matched, and student and teacher differ in width.
        """
        wanted, seen = self.taught.embeddings.shape[1], int(model.config.hidden_size)
        if self.distill.embedding_weight and wanted != seen:
            raise DataRefused(
                f"The student's embeddings have {seen} numbers and the teacher's {wanted}; they cannot be matched.",
                hint="--set method.distill.embedding_weight=0",
            )
        return DistilledTrainer(
            model,
            history,
            self.training,
            class_weights(self.training.class_weights, self.labels, self.train.targets),
            distill=self.distill,
            args=TrainingArguments(label_names=["labels"], **arguments),
            train_dataset=self.taught,
            eval_dataset=self.validation,
            data_collator=functools.partial(_collate, pad_id=self.pad_id),
        )


def _collate(rows: Sequence[Any], pad_id: int) -> dict[str, torch.Tensor]:
    """Training rows come with the teacher's outputs, validation rows without."""
    return collate_taught(rows, pad_id) if len(rows[0]) == 4 else collate(rows, pad_id)


class DistilledTrainer(ClassifierTrainer):
    """(1 - weight) · loss of the labels + weight · soft loss + embedding_weight · (1 - cosine), averaged over rows.

    Validation looks at the labels alone, so that its loss is comparable to that of a run without a teacher.
    """

    def __init__(
        self, model: nn.Module, history: History, training: TrainingSpec, class_weights: Sequence[float] | None = None,
        *, distill: DistillSpec, **arguments: Any,
    ) -> None:  # fmt: skip
        super().__init__(model, history, training, class_weights, **arguments)
        self.distill = distill
        self._hidden: torch.Tensor | None = None
        if distill.embedding_weight:
            plain_model(model).base_model.register_forward_hook(self._keep_hidden)

    def _keep_hidden(self, module: nn.Module, arguments: Any, output: Any) -> None:
        self._hidden = output[0]

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:  # fmt: skip
        """As `ClassifierTrainer.compute_loss`, with the teacher's share while training."""
        hard, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        if not model.training:
            return (hard, outputs) if return_outputs else hard
        soft = soft_loss(outputs["logits"], inputs["teacher_logits"], self.distill.temperature)
        total = self.distill.weight * soft
        if self.distill.embedding_weight and self._hidden is not None:
            mean = mean_hidden(self._hidden, inputs["attention_mask"])
            cosine = nn.functional.cosine_similarity(mean, inputs["teacher_embeddings"], dim=-1)
            total = total + self.distill.embedding_weight * (1 - cosine).sum()
            self._hidden = None
        taught = self.mean_of_step(total, len(inputs["labels"]), num_items_in_batch)
        loss = (1 - self.distill.weight) * hard + taught
        return (loss, outputs) if return_outputs else loss
