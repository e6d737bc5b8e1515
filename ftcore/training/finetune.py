"""Fine-tune a classifier from prepared rows: build, train (or go on where a crash left off), restore the best, save, check."""

from __future__ import annotations

import functools
import json
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoTokenizer, PreTrainedTokenizerBase, TrainingArguments
from transformers.utils import logging as transformers_logging

from ftcore.errors import BaseModelError, IntegrityError
from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.models.loading import load_classifier, save_classifier
from ftcore.models.tokens import backend_tokenizer, pad
from ftcore.spec import MethodSpec, TrainingSpec
from ftcore.training import checkpoints
from ftcore.training.examples import TokenDataset, collate
from ftcore.training.history import History
from ftcore.training.methods import build_model, load_trained_state, num_parameters
from ftcore.training.trainer import HISTORY, WEIGHTS, ClassifierTrainer, say

RELOAD_TOLERANCE = 1e-5
MERGE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class FineTuned:
    """What one run gave, besides the files it wrote."""

    model_digest: str
    history: History
    best_step: int
    best_validation_loss: float
    num_steps: int
    num_epochs: float
    train_s: float
    """Seconds of optimisation, validation and checkpoints in this process; a resumed run counts its own share only."""
    samples_per_s: float
    """Training rows per second over `train_s`."""
    num_trainable: int
    num_parameters: int
    resumed_from: int | None
    """Step of the checkpoint that training went on from."""


def fine_tune(
    train_rows: Sequence[Mapping[str, Any]],
    validation_rows: Sequence[Mapping[str, Any]],
    labels: tuple[str, ...],
    *,
    base: BaseModel,
    method: MethodSpec,
    training: TrainingSpec,
    device: Device,
    checkpoint_dir: Path,
    output_dir: Path,
    champion: BaseModel | None = None,
) -> FineTuned:
    """Train, keep the weights of the lowest validation loss, and save them.

    Args:
        train_rows: Rows with `text` and `label`.
        validation_rows: Same; choose the checkpoint and end training early.
        labels: Class names; the position is the class index.
        base: Checked base model.
        method: What is trained.
        training: How.
        device: Where.
        checkpoint_dir: Kept by the caller while a crash may be followed by another attempt.
        output_dir: Gets `model/`, `history.json` and, for LoRA, `adapter/`.
        champion: Checked model whose weights training starts from; None: the base model's.

    Raises:
        TrainingDiverged: Loss, gradients or weights became NaN or infinite.
        DataRefused: A split is empty or holds unknown labels.
        BaseModelError: The base model does not load.
        IntegrityError: The saved model does not give the logits of the trained one.
    """
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # a fresh head is expected, not news
    device.prepare()
    tokenizer = _load_tokenizer(base)
    backend = backend_tokenizer(tokenizer, training.max_length)
    train = TokenDataset.of(backend, train_rows, labels)
    validation = TokenDataset.of(backend, validation_rows, labels).by_length()
    # On CPUs and short rows plain attention trains 1.5 times as fast as the fused kernel (measured, MiniLM, bf16).
    attention = "eager" if device.device == "cpu" else None
    model = build_model(base, labels, method, training, attention, champion)
    trainable, total = num_parameters(model)

    step, damaged = checkpoints.latest_valid(checkpoint_dir)
    for bad in damaged:
        say(f"the checkpoint of step {bad} is damaged; it is set aside for an earlier one")
    history = History.load(checkpoints.path_of(checkpoint_dir, step) / HISTORY) if step else History()
    trainer = _trainer(
        model, history, train, validation, int(tokenizer.pad_token_id or 0), training, device, checkpoint_dir
    )
    began_at = time.monotonic()
    if step is None or not _has_ended(checkpoints.path_of(checkpoint_dir, step)):
        if step:
            say(f"going on from the checkpoint of step {step}")
        trainer.train(resume_from_checkpoint=str(checkpoints.path_of(checkpoint_dir, step)) if step else None)
    train_s = time.monotonic() - began_at

    best = min(history.validations, key=lambda validation: validation.loss)
    # accelerate wrapped the forward pass in autocast; what is saved is compared in full precision
    model = trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    _restore(model, checkpoint_dir, best.step)
    digest = _save(model, tokenizer, labels, validation, output_dir)
    history.save(output_dir / HISTORY)
    num_steps = len(history.loss)
    num_epochs = num_steps / math.ceil(len(train) / training.batch_size)
    rows_seen = (num_epochs * len(train)) * (1 - (step or 0) / num_steps)
    return FineTuned(
        digest, history, best.step, best.loss, num_steps, num_epochs, train_s, rows_seen / max(train_s, 1e-9),
        trainable, total, step,
    )  # fmt: skip


def _load_tokenizer(base: BaseModel) -> PreTrainedTokenizerBase:
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(base.path, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise BaseModelError(f"The tokenizer of {base.name} cannot be loaded: {str(error).splitlines()[0]}") from error
    return tokenizer


def _trainer(
    model: nn.Module,
    history: History,
    train: TokenDataset,
    validation: TokenDataset,
    pad_id: int,
    training: TrainingSpec,
    device: Device,
    checkpoint_dir: Path,
) -> ClassifierTrainer:
    steps_per_epoch = math.ceil(len(train) / training.batch_size)
    every = max(1, round(steps_per_epoch * training.eval_every))
    arguments = TrainingArguments(
        output_dir=str(checkpoint_dir),
        per_device_train_batch_size=training.batch_size,
        per_device_eval_batch_size=max(64, training.batch_size),
        num_train_epochs=training.epochs,
        learning_rate=training.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=math.ceil(math.ceil(training.epochs * steps_per_epoch) * training.warmup_fraction),
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        optim="adamw_torch_fused",
        seed=training.seed,
        eval_strategy="steps",
        save_strategy="steps",
        eval_steps=every,
        save_steps=every,
        logging_strategy="no",
        logging_nan_inf_filter=False,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        restore_callback_states_from_checkpoint=True,
        use_cpu=device.device == "cpu",
        bf16=device.precision == "bf16",
        dataloader_pin_memory=device.device == "cuda",
        remove_unused_columns=False,
        label_names=["labels"],
        report_to="none",
        disable_tqdm=True,
    )
    return ClassifierTrainer(
        model,
        history,
        training.label_smoothing,
        training.patience,
        training.head_rate_factor,
        args=arguments,
        train_dataset=train,
        eval_dataset=validation,
        data_collator=functools.partial(collate, pad_id=pad_id),
    )


def _has_ended(checkpoint: Path) -> bool:
    """True if this checkpoint is the run's last: all steps done, or patience used up."""
    state = json.loads((checkpoint / checkpoints.STATE).read_text(encoding="utf-8"))
    return bool(state["stateful_callbacks"]["TrainerControl"]["args"]["should_training_stop"])


def _restore(model: nn.Module, checkpoint_dir: Path, step: int) -> None:
    if not checkpoints.is_valid(checkpoint_dir, step):
        hint = "run the same command again: training goes on from the newest checkpoint that is whole"
        raise IntegrityError(f"The best checkpoint (step {step}) was damaged on disk during training.", hint=hint)
    load_trained_state(model, load_file(checkpoints.path_of(checkpoint_dir, step) / WEIGHTS))


def _save(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    labels: tuple[str, ...],
    probe: TokenDataset,
    output_dir: Path,
) -> str:
    """Write the model folder (and adapter), load it again, compare logits on a few validation rows.

    Raises:
        IntegrityError: They differ.
    """
    model = model.float().cpu().eval()
    rows = pad(probe.tokens[:: max(1, len(probe) // 16)], int(tokenizer.pad_token_id or 0))
    trained = _logits(model, rows)
    if hasattr(model, "merge_and_unload"):
        model.save_pretrained(output_dir / "adapter")
        shutil.rmtree(output_dir / "adapter" / "README.md", ignore_errors=True)
        model = model.merge_and_unload()
        _compare("Merging the adapter", trained, _logits(model, rows), MERGE_TOLERANCE)
        trained = _logits(model, rows)
    digest = save_classifier(model, tokenizer, labels, output_dir / "model")
    _compare(
        "Saving and loading", trained, _logits(load_classifier(output_dir / "model").model, rows), RELOAD_TOLERANCE
    )
    return digest


def _logits(model: nn.Module, rows: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = model(input_ids=rows[0], attention_mask=rows[1]).logits
    return logits


def _compare(what: str, wanted: torch.Tensor, seen: torch.Tensor, tolerance: float) -> None:
    difference = float((wanted - seen).abs().max() / wanted.abs().max().clamp(min=1.0))
    if not difference <= tolerance:
        raise IntegrityError(f"{what} changed the logits by {difference:.2g} (relative); wanted at most {tolerance:g}.")
