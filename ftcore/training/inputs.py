"""What a spec trains on, and the training itself: the one way in for the stage and for the trials of a search."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ftcore.data.reading import read_jsonl
from ftcore.models.base import BaseModel, resolve_base, resolve_teacher, saved_model
from ftcore.models.devices import Device
from ftcore.records import ModelRef, PreparedDataset
from ftcore.spec import FineTuneSpec
from ftcore.store import Store
from ftcore.training.findings import Finding
from ftcore.training.finetune import check_before_training
from ftcore.training.history import History
from ftcore.training.phase_checks import check_phases
from ftcore.training.phases import Extra, Run, Tuned, require_teacher
from ftcore.training.probe import Probe
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
    extra: Extra = field(default_factory=Extra)
    """For the phases of the method; texts are those of files alone."""


def read_inputs(spec: FineTuneSpec, inputs: Mapping[str, Any], store: Store) -> TrainingInputs:
    """Read what the records of `prepare` and, where there are such, `start` and `teacher` point to.

    Raises:
        BaseModelError: The base model, or a teacher that is named, is missing or fails its checksum.
        IntegrityError: The champion to start or learn from is damaged.
        UsageError: The champion is to be the teacher, and there is none.
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
        Extra(
            [str(row["text"]) for row in _more(rows / "texts.jsonl")],
            _more(rows / "preferences.jsonl"),
            _teacher(spec, inputs.get("teacher"), store),
        ),
    )


def _more(path: Path) -> list[dict[str, Any]]:
    """Rows that only some specs have."""
    return read_jsonl(path) if path.is_file() else []


def _teacher(spec: FineTuneSpec, champion: ModelRef | None, store: Store) -> BaseModel | None:
    """None: nothing is distilled, or the run makes its own."""
    distill = spec.method.distill
    if distill is None or distill.teacher == "new":
        return None
    require_teacher(distill.teacher, champion.model_digest if champion else None)
    if champion is None:
        return resolve_teacher(spec)
    name = f"model {champion.model_digest[:12]} of {spec.name}"
    return saved_model(store.resolve(champion.uri) / "model", champion.model_digest, name)


def train_on(
    inputs: TrainingInputs,
    spec: FineTuneSpec,
    device: Device,
    checkpoint_dir: Path,
    output_dir: Path | None,
    on_validation: Callable[[History], None] | None = None,
    probe: Probe | None = None,
) -> Tuned:
    """All phases of the method; see `Run` for the arguments and `Run.go` for what is raised."""
    return _run(_work(inputs, spec, device), inputs, checkpoint_dir, output_dir, on_validation, probe).go()


def check_on(inputs: TrainingInputs, spec: FineTuneSpec, device: Device) -> list[Finding]:
    """The checks before training alone, of all phases; faults are among the findings."""
    work = _work(inputs, spec, device)
    nowhere = Path()
    return [*check_before_training(**work), *check_phases(_run(work, inputs, nowhere, None))]


def _run(
    work: dict[str, Any], inputs: TrainingInputs, checkpoint_dir: Path, output_dir: Path | None,
    on_validation: Callable[[History], None] | None = None, probe: Probe | None = None,
) -> Run:  # fmt: skip
    """All phases, ready to go."""
    adapt = work["method"].adapt
    columns = adapt.columns if adapt else []
    texts = [str(row[column]) for row in work["train_rows"] for column in columns]
    extra = replace(inputs.extra, texts=[*texts, *inputs.extra.texts])
    return Run(
        **work,
        checkpoint_dir=checkpoint_dir,
        output_dir=output_dir,
        on_validation=on_validation,
        probe=probe,
        extra=extra,
    )


def _work(inputs: TrainingInputs, spec: FineTuneSpec, device: Device) -> dict[str, Any]:
    """By the names of the arguments of `fine_tune` and `Run`.

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
