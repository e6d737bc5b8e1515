"""Encoder-decoder models (T5, BART): one text in, another out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForSeq2SeqLM, DataCollatorForSeq2Seq, PreTrainedModel, TrainingArguments

from ftcore.models.adapters import plain_model
from ftcore.models.base import BaseModel
from ftcore.models.loading import load_model, save_model
from ftcore.models.tokens import backend_tokenizer
from ftcore.spec import TrainingSpec
from ftcore.training.conversations import IGNORED
from ftcore.training.findings import Finding
from ftcore.training.history import History
from ftcore.training.lint import stop_learnt, targets_left, text_round_trip
from ftcore.training.tasks import PROBE_ROWS, Rows, TrainingTask, load_weights, stop_ids
from ftcore.training.trainer import DurableTrainer


class PairDataset(torch.utils.data.Dataset[dict[str, list[int]]]):  # type: ignore[misc]
    """Token ids of question and answer, in memory.

    Args:
        is_cut: Of each row: its answer was too long, and does not end.
    """

    def __init__(self, sources: Sequence[list[int]], targets: Sequence[list[int]], is_cut: Sequence[bool]) -> None:
        self.tokens, self.targets, self.is_cut = list(sources), list(targets), list(is_cut)

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
        self._pairs = train_rows

    def _encode(self, rows: Rows) -> PairDataset:
        sources, answers = (
            self._backend.encode_batch_fast([row[part] for row in rows]) for part in ("text", "completion")
        )
        is_cut = [bool(item.overflowing) for item in answers]
        return PairDataset(
            [item.ids for item in sources],
            [self._unended(item.ids) if cut else item.ids for item, cut in zip(answers, is_cut, strict=True)],
            is_cut,
        )

    def _unended(self, ids: list[int]) -> list[int]:
        """An answer that was cut, without the end token that the tokenizer puts behind it all the same: it would teach to stop
        in the middle."""
        return ids[:-1] if ids and ids[-1] == self.tokenizer.eos_token_id else ids

    def load(self, champion: BaseModel | None, attention: str | None) -> PreTrainedModel:
        """Raises:
        BaseModelError: transformers cannot load it as an encoder-decoder model.
        """
        settings = {"attn_implementation": attention, **self.loading}
        return load_weights(AutoModelForSeq2SeqLM, champion or self.base, "an encoder-decoder model", **settings)

    def trainer(self, model: nn.Module, history: History, arguments: dict[str, Any]) -> PairTrainer:
        return PairTrainer(
            model,
            history,
            self.training,
            args=TrainingArguments(prediction_loss_only=True, **arguments),
            train_dataset=self.train,
            eval_dataset=self.validation,
            data_collator=self._batches(model),
        )

    def lint(self, model: nn.Module) -> list[Finding]:
        return [
            targets_left(self.train.is_cut, self.training.max_length),
            stop_learnt(self.train.targets, self.train.is_cut, stop_ids(model, self.tokenizer)),
            text_round_trip(self.tokenizer, self._pairs),
        ]

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
        plain = plain_model(model)
        return DataCollatorForSeq2Seq(self.tokenizer, model=plain)

    def save(self, model: PreTrainedModel, folder: Path) -> str:
        return save_model(model, self.tokenizer, folder)

    def reload(self, folder: Path) -> nn.Module:
        return load_model(folder).model


class PairTrainer(DurableTrainer):
    """Cross-entropy over the tokens of the answers; see `DurableTrainer` for the arguments."""

    def __init__(self, model: nn.Module, history: History, training: TrainingSpec, **arguments: Any) -> None:
        super().__init__(model, history, training, **arguments)
        self.model_accepts_loss_kwargs = True  # the loss below divides by the tokens of the whole optimiser step
        self._loss_shifts_labels = False

    def token_lists(self, rows: Any) -> list[list[int]]:
        return [source + target for source, target in zip(rows.tokens, rows.targets, strict=True)]

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:  # fmt: skip
        """Summed in float32 and divided by the answer tokens of the optimiser step: models' own losses are means of a pass, which
        makes tokens of passes with short answers count more.

        Labels are smoothed in training only, so that validation losses stay comparable.
        """
        labels = inputs["labels"]
        wanted = {name: item for name, item in inputs.items() if name != "labels" or "decoder_input_ids" not in inputs}
        outputs = model(**wanted, use_cache=False)
        smoothing = self.training.label_smoothing if model.training else 0.0
        total = nn.functional.cross_entropy(
            outputs.logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED, label_smoothing=smoothing,
            reduction="sum",
        )  # fmt: skip
        loss = self.mean_of_step(total, labels.ne(IGNORED).sum(), num_items_in_batch)
        return (loss, {"logits": outputs.logits}) if return_outputs else loss
