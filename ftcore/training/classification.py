"""Classifiers: encoders and decoders with a head that names a class."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel, TrainingArguments

from ftcore.errors import BaseModelError, UsageError
from ftcore.models.base import BaseModel
from ftcore.models.loading import load_classifier, read_labels, save_classifier
from ftcore.models.tokens import backend_tokenizer, pad
from ftcore.spec import TrainingSpec
from ftcore.training.examples import TokenDataset, collate
from ftcore.training.findings import Finding
from ftcore.training.history import History
from ftcore.training.lint import label_coverage
from ftcore.training.methods import HEAD, head_parameters
from ftcore.training.tasks import PROBE_ROWS, Rows, TrainingTask, load_weights
from ftcore.training.trainer import DurableTrainer


class Classification(TrainingTask):
    """Rows with `text` and `label`.

    Args:
        labels: Class names; the position is the class index.
        See `TrainingTask` for the others.

    Raises:
        DataRefused: A split is empty or holds unknown labels.
        BaseModelError: The tokenizer does not load.
    """

    name = "classification"
    peft_type = "SEQ_CLS"
    eval_rows = 64

    def __init__(
        self, train_rows: Rows, validation_rows: Rows, labels: tuple[str, ...], base: BaseModel, training: TrainingSpec
    ) -> None:
        super().__init__(train_rows, validation_rows, base, training)
        self.labels = labels
        backend = backend_tokenizer(self.tokenizer, training.max_length)
        self.train = TokenDataset.of(backend, train_rows, labels)
        self.validation = TokenDataset.of(backend, validation_rows, labels).by_length()
        self.num_train = len(self.train)

    def load(self, champion: BaseModel | None, attention: str | None) -> PreTrainedModel:
        """A fresh head on the base model, or the champion with its own: classes that it knows keep their output weights.

        Raises:
            BaseModelError: transformers cannot load it as a classifier, or the champion's head cannot take new classes.
        """
        known = read_labels(champion.path) if champion else self.labels
        settings = {"num_labels": len(known), "attn_implementation": attention, **self.loading}
        model = load_weights(
            AutoModelForSequenceClassification,
            champion or self.base,
            "a classifier",
            fresh_head=champion is None,
            **settings,
        )
        model.config.get_text_config().pad_token_id = self.pad_id  # decoders find the last token of a row by it
        if champion is not None:
            _fit_head(model, known, self.labels)
        return model

    def trainer(self, model: nn.Module, history: History, arguments: dict[str, Any]) -> ClassifierTrainer:
        return ClassifierTrainer(
            model,
            history,
            self.training,
            class_weights(self.training.class_weights, self.labels, self.train.targets),
            args=TrainingArguments(label_names=["labels"], **arguments),
            train_dataset=self.train,
            eval_dataset=self.validation,
            data_collator=functools.partial(collate, pad_id=self.pad_id),
        )

    def lint(self, model: nn.Module) -> list[Finding]:
        return [label_coverage(self.labels, self.train.targets, self.validation.targets)]

    def logits(self, model: nn.Module) -> torch.Tensor:
        rows = self.validation.tokens[:: max(1, len(self.validation) // PROBE_ROWS)]
        input_ids, attention_mask = pad(rows, self.pad_id)
        with torch.inference_mode():
            logits: torch.Tensor = model(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits

    def save(self, model: PreTrainedModel, folder: Path) -> str:
        return save_classifier(model, self.tokenizer, self.labels, folder)

    def reload(self, folder: Path) -> nn.Module:
        return load_classifier(folder).model


def class_weights(
    setting: str | Mapping[str, float], labels: Sequence[str], targets: Sequence[int]
) -> list[float] | None:
    """Weight of each class, scaled so that the mean over the training rows is 1; None: no weights.

    The loss of a step is divided by its rows, not by their weights, so it does not matter how the step is cut into passes.

    Args:
        setting: `none`, `balanced` (inverse of the class's share) or label to weight, 1 where none is given.
        targets: Class index of each training row.

    Raises:
        UsageError: A weight is for a label that is no class.
    """
    if setting == "none":
        return None
    counts = [targets.count(index) for index in range(len(labels))]
    if isinstance(setting, str):
        raw = [1 / max(count, 1) for count in counts]
    else:
        if unknown := sorted(set(setting) - set(labels)):
            raise UsageError(
                f"training.class_weights names {len(unknown)} labels that are no class: {', '.join(unknown[:8])}.",
                hint=f"the classes are {', '.join(labels[:20])}{', …' if len(labels) > 20 else ''}",
            )
        raw = [setting.get(label, 1.0) for label in labels]
    mean = sum(weight * count for weight, count in zip(raw, counts, strict=True)) / len(targets)
    return [weight / mean for weight in raw]


class ClassifierTrainer(DurableTrainer):
    """Cross-entropy over classes; the head may learn faster than the rest.

    Args:
        training: Label smoothing (in the training loss only: the validation loss stays comparable between settings), the
            head's rate.
        class_weights: Weight of each class in the loss of training and validation; None: all alike.
        See `DurableTrainer` for the others.
    """

    def __init__(
        self, model: nn.Module, history: History, training: TrainingSpec, class_weights: Sequence[float] | None = None,
        **arguments: Any,
    ) -> None:  # fmt: skip
        super().__init__(model, history, training, **arguments)
        self._num_right = 0
        self.class_weights = None if class_weights is None else torch.tensor(class_weights, device=self.args.device)
        self.model_accepts_loss_kwargs = True  # the loss below divides by the rows of the whole optimiser step
        self._loss_shifts_labels = False

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """The parent's, with the head's parameters in groups of their own that have a higher rate."""
        is_new = self.optimizer is None
        optimizer: torch.optim.Optimizer = super().create_optimizer(model)
        if is_new and self.training.head_rate_factor != 1.0:
            head = {id(parameter) for parameter in head_parameters(model or self.model)}
            for group in list(optimizer.param_groups):
                moved = [item for item in group["params"] if id(item) in head]
                group["params"] = [item for item in group["params"] if id(item) not in head]
                if moved:
                    rate = group["lr"] * self.training.head_rate_factor
                    optimizer.add_param_group({**group, "params": moved, "lr": rate})
        return optimizer

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:  # fmt: skip
        """Cross-entropy in float32, averaged over the rows of the optimiser step.

        However the step is cut into forward passes and processes, the gradient is the same (transformers issue 37766).
        """
        outputs = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        smoothing = self.training.label_smoothing if model.training else 0.0
        losses = nn.functional.cross_entropy(
            outputs.logits.float(), inputs["labels"], label_smoothing=smoothing, reduction="none"
        )
        if self.class_weights is not None:
            losses = losses * self.class_weights[inputs["labels"]]
        loss = self.mean_of_step(losses.sum(), len(inputs["labels"]), num_items_in_batch)
        return (loss, {"logits": outputs.logits}) if return_outputs else loss

    def prediction_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """The parent's; of the logits only the number of right answers is kept."""
        at = len(self._validated)
        loss, logits, labels = super().prediction_step(model, inputs, False)
        if not self.is_spare(at):
            self._num_right += int((logits.argmax(dim=-1) == labels).sum())
        return loss, None, None

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """The parent's, with the share of rows whose highest logit is their class."""
        self._num_right = 0
        loop = super().evaluation_loop(*args, **kwargs)
        loop.metrics["eval_accuracy"] = self._per_item(self._num_right)
        return loop


def _fit_head(model: PreTrainedModel, known: Sequence[str], labels: Sequence[str]) -> None:
    """Give the champion's output layer one row per class of `labels`: its own where it knows the class, else a fresh one.

    Raises:
        BaseModelError: The head has no linear layer with one output per known class.
    """
    if list(known) == list(labels):
        return
    named = [(name, item) for name, item in model.named_modules() if HEAD & set(name.split("."))]
    outputs = [(name, item) for name, item in named if isinstance(item, nn.Linear) and item.out_features == len(known)]
    if not outputs:
        raise BaseModelError(
            f"The champion's head has no linear layer with {len(known)} outputs to start from.",
            hint="--set method.start_from=base",
        )
    name, old = outputs[-1]
    new = nn.Linear(old.in_features, len(labels), bias=old.bias is not None)
    nn.init.normal_(new.weight, std=float(getattr(model.config, "initializer_range", 0.02)))
    position = {label: index for index, label in enumerate(known)}
    with torch.no_grad():
        if new.bias is not None:
            new.bias.zero_()
        for index, label in enumerate(labels):
            if label in position:
                new.weight[index] = old.weight[position[label]]
                if new.bias is not None:
                    new.bias[index] = old.bias[position[label]]
    model.set_submodule(name, new.to(old.weight.device))
    model.num_labels = model.config.num_labels = len(labels)
