"""What a spec trains on, and the training itself: the one way in for the stage and for the trials of a search."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftcore.data.reading import read_jsonl
from ftcore.models.base import BaseModel, resolve_base, saved_model
from ftcore.models.devices import Device
from ftcore.records import ModelRef, PreparedDataset
from ftcore.spec import FineTuneSpec
from ftcore.store import Store
from ftcore.training.findings import Finding
from ftcore.training.finetune import FineTuned, check_before_training, fine_tune
from ftcore.training.history import History
from ftcore.training.shots import few_shot


@dataclass(frozen=True)
class TrainingInputs:
    """Rows and checked models. No path leads from here to the holdout."""

    train: list[dict[str, Any]]
    validation: list[dict[str, Any]]
    labels: tuple[str, ...]
    """Class names of a classifier; the position is the class index."""
    base: BaseModel
    champion: BaseModel | None
    """The model whose weights training starts from; None: the base model's."""


def read_inputs(spec: FineTuneSpec, inputs: Mapping[str, Any], store: Store) -> TrainingInputs:
    """Read what the records of `prepare` and, where there is one, `start` point to.

    Raises:
        BaseModelError: The base model is missing or fails its checksum.
        IntegrityError: The champion to start from is damaged.
    """
    prepared: PreparedDataset = inputs["prepare"]
    start: ModelRef | None = inputs.get("start")
    rows = store.resolve(prepared.uri)
    champion = None
    if start is not None:
        name = f"champion {start.model_digest[:12]} of {spec.name}"
        champion = saved_model(store.resolve(start.uri) / "model", start.model_digest, name)
    return TrainingInputs(
        read_jsonl(rows / "train.jsonl"),
        read_jsonl(rows / "validation.jsonl"),
        tuple(json.loads((rows / "labels.json").read_text(encoding="utf-8"))),
        resolve_base(spec.base_model, spec.root),
        champion,
    )


def train_on(
    inputs: TrainingInputs,
    spec: FineTuneSpec,
    device: Device,
    checkpoint_dir: Path,
    output_dir: Path | None,
    on_validation: Callable[[History], None] | None = None,
) -> FineTuned:
    """Fine-tune as the spec says; see `fine_tune` for the arguments and what is raised."""
    work = _work(inputs, spec, device)
    return fine_tune(**work, checkpoint_dir=checkpoint_dir, output_dir=output_dir, on_validation=on_validation)


def check_on(inputs: TrainingInputs, spec: FineTuneSpec, device: Device) -> list[Finding]:
    """The checks before training alone; faults are among the findings."""
    return check_before_training(**_work(inputs, spec, device))


def _work(inputs: TrainingInputs, spec: FineTuneSpec, device: Device) -> dict[str, Any]:
    """By the names of `fine_tune`'s arguments.

    Raises:
        DataRefused: A class has fewer rows than `method.shots`.
    """
    training = spec.training
    if inputs.champion is not None and training.epochs_from_champion:
        training = training.model_copy(update={"epochs": training.epochs_from_champion, "max_steps": None})
    train, shots = inputs.train, spec.method.shots
    return {
        "train_rows": train if shots is None else few_shot(train, shots, training.seed),
        "validation_rows": inputs.validation,
        "labels": inputs.labels,
        "task": spec.task,
        "base": inputs.base,
        "method": spec.method,
        "training": training,
        "device": device,
        "champion": inputs.champion,
    }
