"""train: prepared rows in, a candidate out (`model/`, for LoRA also `adapter/`, and `history.json`)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ftcore.records import DataRef, ModelRef, PreparedDataset, Record, TrainingRun
from ftcore.spec import FineTuneSpec
from ftcore.store import Output, Store


def run(spec: FineTuneSpec, inputs: Mapping[str, Record | DataRef | None], output: Output, store: Store) -> TrainingRun:
    """Fine-tune on the prepared dataset. A second attempt with the same key goes on from the newest valid checkpoint.

    Raises:
        TrainingDiverged: Loss, gradients or weights became NaN or infinite.
        BaseModelError: The base model is missing, fails its checksum or does not load.
        IntegrityError: The champion to start from is damaged.
    """
    from ftcore.data.leakage import TrainedRows
    from ftcore.data.reading import read_jsonl
    from ftcore.models.base import resolve_base, resolve_teacher, saved_model
    from ftcore.models.devices import choose
    from ftcore.training.checkpoints import exclusive
    from ftcore.training.phases import Extra, Run, require_teacher

    prepared = cast(PreparedDataset, inputs["prepare"])
    rows = store.resolve(prepared.uri)
    labels = tuple(json.loads((rows / "labels.json").read_text(encoding="utf-8")))
    base = resolve_base(spec.base_model, spec.root)
    start, champion, training = cast(ModelRef | None, inputs.get("start")), None, spec.training
    if start is not None:
        name = f"champion {start.model_digest[:12]} of {spec.name}"
        champion = saved_model(store.resolve(start.uri) / "model", start.model_digest, name)
        training = training.model_copy(update={"epochs": training.epochs_from_champion or training.epochs})
    device = choose(spec.compute)
    train, validation = read_jsonl(rows / "train.jsonl"), read_jsonl(rows / "validation.jsonl")
    TrainedRows(store, spec.name).add(prepared.train_digest, [*train, *validation])
    teacher = None
    if spec.method.distill and spec.method.distill.teacher != "new":
        taught_by = cast(ModelRef | None, inputs.get("teacher"))
        require_teacher(spec.method.distill.teacher, taught_by.model_digest if taught_by else None)
        if taught_by is None:
            teacher = resolve_teacher(spec)
        else:
            name = f"model {taught_by.model_digest[:12]} of {spec.name}"
            teacher = saved_model(store.resolve(taught_by.uri) / "model", taught_by.model_digest, name)
    extra = Extra(_texts(spec, rows, train), _more(rows / "preferences.jsonl"), teacher)
    with exclusive(output.scratch, output.path / "checkpoints") as checkpoint_dir:
        done = Run(
            train,
            validation,
            labels,
            task=spec.task,
            base=base,
            method=spec.method,
            training=training,
            device=device,
            checkpoint_dir=checkpoint_dir,
            output_dir=output.path,
            champion=champion,
            extra=extra,
        ).go()
    tuned = done.tuned
    return TrainingRun(
        uri=output.uri,
        model_digest=tuned.model_digest,
        base_digest=base.digest,
        base_name=base.name,
        data_digest=prepared.train_digest,
        method=spec.method.name,
        device=device.device,
        precision=device.precision,
        num_steps=tuned.num_steps,
        num_epochs=round(tuned.num_epochs, 3),
        best_step=tuned.best_step,
        best_validation_loss=tuned.best_validation_loss,
        train_s=round(tuned.train_s, 2),
        samples_per_s=round(tuned.samples_per_s, 1),
        num_trainable=tuned.num_trainable,
        num_parameters=tuned.num_parameters,
        started_from=start.model_digest if start is not None else None,
        taught_by=done.taught_by,
        phases=done.phases,
    )


def _texts(spec: FineTuneSpec, rows: Path, train: Sequence[Mapping[str, Any]]) -> list[str]:
    """What `method.adapt` reads: columns of the training rows, and the files that `prepare` has read."""
    if spec.method.adapt is None:
        return []
    of_rows = [str(row[column]) for row in train for column in spec.method.adapt.columns]
    return [*of_rows, *(str(row["text"]) for row in _more(rows / "texts.jsonl"))]


def _more(path: Path) -> list[dict[str, Any]]:
    """Rows that only some specs have."""
    from ftcore.data.reading import read_jsonl

    return read_jsonl(path) if path.is_file() else []
