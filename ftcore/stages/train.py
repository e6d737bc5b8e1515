"""train: prepared rows in, a candidate out (`model/`, for adapters that can be merged also `adapter/`, and `history.json`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

from ftcore.records import DataRef, ModelRef, PreparedDataset, Record, TrainingRun
from ftcore.spec import FineTuneSpec
from ftcore.store import Output, Store


def run(spec: FineTuneSpec, inputs: Mapping[str, Record | DataRef | None], output: Output, store: Store) -> TrainingRun:
    """Fine-tune on the prepared dataset. A second attempt with the same key goes on from the newest valid checkpoint.

    Raises:
        TrainingDiverged: Loss, gradients or weights became NaN or infinite.
        BaseModelError: The base model is missing, fails its checksum, does not load or does not fit the method.
        SpecError: PEFT does not know fields of `method.peft`.
        UsageError: The spec asks for a device or a package that is not there.
        DataRefused: A class has fewer rows than `method.shots`.
        IntegrityError: The champion to start from is damaged.
    """
    from ftcore.data.leakage import TrainedRows
    from ftcore.data.reading import read_jsonl
    from ftcore.models.base import resolve_base, saved_model
    from ftcore.models.devices import choose
    from ftcore.training.checkpoints import exclusive
    from ftcore.training.finetune import fine_tune
    from ftcore.training.shots import few_shot

    prepared = cast(PreparedDataset, inputs["prepare"])
    rows = store.resolve(prepared.uri)
    labels = tuple(json.loads((rows / "labels.json").read_text(encoding="utf-8")))
    device = choose(spec.compute)
    if spec.method.name == "qlora":
        device.require_4bit()  # before the base model is fetched
    base = resolve_base(spec.base_model, spec.root)
    start, champion, training = cast(ModelRef | None, inputs.get("start")), None, spec.training
    if start is not None:
        name = f"champion {start.model_digest[:12]} of {spec.name}"
        champion = saved_model(store.resolve(start.uri) / "model", start.model_digest, name)
        training = training.model_copy(update={"epochs": training.epochs_from_champion or training.epochs})
    train, validation = read_jsonl(rows / "train.jsonl"), read_jsonl(rows / "validation.jsonl")
    TrainedRows(store, spec.name).add(prepared.train_digest, [*train, *validation])
    if spec.method.shots is not None:
        train = few_shot(train, spec.method.shots, spec.training.seed)
    with exclusive(output.scratch, output.path / "checkpoints") as checkpoint_dir:
        tuned = fine_tune(
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
        )
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
        shots=spec.method.shots,
    )
