"""What a task brings to a training run; everything else (methods, durability, checks) is the same for all tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import nn
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from ftcore.errors import BaseModelError, DataRefused, first_line, num_of
from ftcore.models.base import BaseModel
from ftcore.models.tokens import pad_id_of
from ftcore.spec import Task, TrainingSpec
from ftcore.training.findings import Finding
from ftcore.training.history import History
from ftcore.training.trainer import DurableTrainer

Rows = Sequence[Mapping[str, Any]]
PROBE_ROWS = 16
"""Validation rows whose logits a saved model must give again."""


class TrainingTask(ABC):
    """Rows as batches, the model around them, the loss, and the files that are left.

    Args:
        train_rows: Prepared rows.
        validation_rows: Same; choose the checkpoint and end training early.
        base: Checked base model, whose tokenizer is used.
        training: Token limit and loss settings.

    Raises:
        DataRefused: A split is empty, or its rows cannot be learnt from.
        BaseModelError: The tokenizer does not load or does not do.
    """

    name: ClassVar[Task]
    peft_type: ClassVar[str]
    """PEFT's name of the task."""
    num_train: int
    """Rows of the training split, as training meets them."""
    fewest_rows: int = 1
    """Per forward pass, for the loss to have a meaning; divides `training.batch_size`, or is 1."""
    eval_rows: int = 0
    """Rows per forward pass of a validation, if they are more than those of training. 0: with scores for every word of the
    vocabulary at every token, more rows would take more memory than training does."""
    loading: Mapping[str, Any] = MappingProxyType({})
    """Further settings of `from_pretrained` that the method needs."""
    made_of: Mapping[str, Any] = MappingProxyType({})
    """Arguments to make the task again in another process; empty: it cannot be."""

    def __init__(self, train_rows: Rows, validation_rows: Rows, base: BaseModel, training: TrainingSpec) -> None:
        if not train_rows or not validation_rows:
            hint = "--set data.validation_fraction=0.15"
            raise DataRefused("A split to train or validate on has no rows; wanted at least one.", hint=hint)
        self.base, self.training = base, training
        self.tokenizer = load_tokenizer(base)

    @property
    def pad_id(self) -> int:
        """Fills short rows."""
        return pad_id_of(self.tokenizer)

    @abstractmethod
    def load(self, champion: BaseModel | None, attention: str | None) -> PreTrainedModel:
        """Base model, or champion, with what the task adds to it; float32.

        Raises:
            BaseModelError: transformers cannot load it for this task.
        """

    @abstractmethod
    def trainer(self, model: nn.Module, history: History, arguments: dict[str, Any]) -> DurableTrainer:
        """Ready to train; `arguments` are those of transformers' TrainingArguments."""

    @abstractmethod
    def lint(self, model: nn.Module) -> list[Finding]:
        """What the rows, as training will meet them, cannot teach; `model` is the one that will be trained."""

    @abstractmethod
    def logits(self, model: nn.Module) -> torch.Tensor:
        """What a model in evaluation mode says of a few validation rows; padding left out."""

    @abstractmethod
    def save(self, model: PreTrainedModel, folder: Path) -> str:
        """Write the model folder; returns the model digest."""

    @abstractmethod
    def reload(self, folder: Path) -> nn.Module:
        """Inverse of `save`, in evaluation mode."""


def stop_ids(model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Tokens that generation stops at: those of the model's generation settings, and the tokenizer's end of text."""
    settings = getattr(model, "generation_config", None)
    found = getattr(settings, "eos_token_id", None)
    listed = found if isinstance(found, list) else [found]
    return {int(token) for token in (*listed, tokenizer.eos_token_id) if token is not None}


def load_tokenizer(base: BaseModel) -> PreTrainedTokenizerBase:
    """The base model's tokenizer, from its folder alone.

    Raises:
        BaseModelError: transformers cannot load it.
    """
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(base.path, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise BaseModelError(f"The tokenizer of {base.name} cannot be loaded: {first_line(error)}") from error
    return tokenizer


def load_weights(
    auto_class: Any, model: BaseModel, what: str, *, fresh_head: bool = False, **settings: Any
) -> PreTrainedModel:
    """Weights of a checked folder as float32, by one of transformers' Auto classes.

    Args:
        what: Says in an error what the model could not be loaded as.
        fresh_head: The folder may lack what stands above the body; it then begins at random. A pooler always may.

    Raises:
        BaseModelError: transformers cannot load it, or would fill in weights at random that the folder must have.
    """
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # a fresh head is expected, not news
    try:
        loaded, info = auto_class.from_pretrained(
            model.path, dtype=torch.float32, local_files_only=True, use_safetensors=True, output_loading_info=True,
            **settings,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise BaseModelError(f"{model.name} cannot be loaded as {what}: {first_line(error)}") from error
    body = f"{loaded.base_model_prefix}."
    absent = sorted(
        name
        for name in info["missing_keys"]
        if "pooler" not in name.split(".") and not (fresh_head and not name.startswith(body))
    )
    if absent and "quantization_config" not in settings:  # whose weights have names of their own
        raise BaseModelError(
            f"{model.name} lacks {num_of(len(absent), 'weight')} of {what} (first: {absent[0]}); they would begin at random.",
            hint="see whether files of the model are missing, or whether it is a model of another kind",
        )
    found: PreTrainedModel = loaded
    return found


def make_task(
    task: Task,
    train_rows: Rows,
    validation_rows: Rows,
    labels: tuple[str, ...],
    base: BaseModel,
    training: TrainingSpec,
) -> TrainingTask:
    """The task by its name. Imports what it needs: TRL takes seconds.

    Raises:
        DataRefused, BaseModelError: As `TrainingTask`.
    """
    job: TrainingTask
    if task == "classification":
        from ftcore.training.classification import Classification

        job = Classification(train_rows, validation_rows, labels, base, training)
    elif task == "instruction":
        from ftcore.training.instruction import Instruction

        job = Instruction(train_rows, validation_rows, base, training)
    else:
        from ftcore.training.seq2seq import Seq2Seq

        job = Seq2Seq(train_rows, validation_rows, base, training)
    job.made_of = {
        "task": task, "train_rows": train_rows, "validation_rows": validation_rows, "labels": labels, "base": base,
        "training": training,
    }  # fmt: skip
    return job
