"""Decoders that learn a teacher's next-token probabilities on the answers besides the answers themselves.

The data's own answers are used (word-level distillation: Kim & Rush 2016, arXiv:1606.07947; lambda 0 in Agarwal et al. 2024,
arXiv:2306.13649). TRL's DistillationTrainer lets the student write answers of its own at every step instead: many times the work,
and no labels beside the teacher.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from ftcore.errors import BaseModelError
from ftcore.models.base import BaseModel
from ftcore.spec import DistillSpec, TrainingSpec
from ftcore.training.conversations import IGNORED
from ftcore.training.history import History
from ftcore.training.instruction import AnswerTrainer, Instruction, to_dataset
from ftcore.training.tasks import Rows, load_tokenizer
from ftcore.training.teachers import soft_loss


def require_same_tokenizer(teacher: BaseModel, tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    """Refuse a teacher that speaks of other tokens.

    Args:
        tokenizer: The student's.
        name: Of the student's base model, for the message.

    Raises:
        BaseModelError: With the sizes of both.
    """
    theirs = load_tokenizer(teacher)
    if theirs.get_vocab() != tokenizer.get_vocab():
        raise BaseModelError(
            f"The teacher {teacher.name} has another tokenizer ({len(theirs):,} tokens) than {name} "
            f"({len(tokenizer):,}): their probabilities are not over the same tokens.",
            hint="take a teacher of the same family, or let it write the answers (data, not distillation)",
        )


class DistilledInstruction(Instruction):
    """Instruction tuning with a teacher.

    Args:
        teacher: Where the teacher's tokenizer is.
        teacher_model: The teacher, in float32; frozen here.
        distill: Temperature and weight.
        See `Instruction` for the others.

    Raises:
        BaseModelError: Teacher and student do not share a tokenizer.
    """

    def __init__(
        self,
        train_rows: Rows,
        validation_rows: Rows,
        base: BaseModel,
        training: TrainingSpec,
        teacher: BaseModel,
        teacher_model: PreTrainedModel,
        distill: DistillSpec,
    ) -> None:
        super().__init__(train_rows, validation_rows, base, training)
        require_same_tokenizer(teacher, self.tokenizer, base.name)
        self.teacher_model, self.distill = teacher_model.eval().requires_grad_(False), distill

    def trainer(self, model: nn.Module, history: History, arguments: dict[str, Any]) -> DistilledAnswerTrainer:
        return DistilledAnswerTrainer(
            model,
            history,
            self.training,
            teacher_model=self.teacher_model,
            distill=self.distill,
            args=SFTConfig(max_length=None, **arguments),
            train_dataset=to_dataset(self.train),
            eval_dataset=to_dataset(self.validation),
            data_collator=DataCollatorForLanguageModeling(pad_token_id=self.pad_id),
            processing_class=self.tokenizer,
        )


class DistilledAnswerTrainer(AnswerTrainer):
    """(1 - weight) · loss of the answers + weight · soft loss, averaged over the answer tokens. Validation: the answers alone.

    The teacher runs beside the student: its probabilities over the whole vocabulary would not fit on a disk.
    """

    def __init__(
        self, model: nn.Module, history: History, training: TrainingSpec, *, teacher_model: nn.Module, distill: DistillSpec,
        **arguments: Any,
    ) -> None:  # fmt: skip
        super().__init__(model, history, training, **arguments)
        self.teacher_model = teacher_model.to(self.args.device)
        self.distill = distill

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:  # fmt: skip
        """As TRL's, with the teacher's share while training."""
        if not model.training:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        read = {name: value for name, value in inputs.items() if name != "labels"} | {"use_cache": False}
        labels = inputs["labels"][:, 1:]
        learnt = labels != IGNORED
        student = model(**read).logits[:, :-1][learnt]
        with torch.no_grad():
            teacher = self.teacher_model(**read).logits[:, :-1][learnt]
        shared = min(student.shape[-1], teacher.shape[-1])  # some models pad their output layer beyond the vocabulary
        hard = nn.functional.cross_entropy(student.float(), labels[learnt], reduction="sum")
        soft = soft_loss(student[:, :shared], teacher[:, :shared], self.distill.temperature)
        total = (1 - self.distill.weight) * hard + self.distill.weight * soft
        items = None if num_items_in_batch is None else torch.as_tensor(num_items_in_batch).clamp(min=1)
        return self.mean_of_step(total, learnt.sum().clamp(min=1), items)
