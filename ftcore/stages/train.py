"""train: prepared rows in, a candidate out (`model/`, for LoRA also `adapter/`, and `history.json`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

from ftcore.records import DataRef, PreparedDataset, Record, TrainingRun
from ftcore.spec import FineTuneSpec
from ftcore.store import Output, Store


def run(spec: FineTuneSpec, inputs: Mapping[str, Record | DataRef | None], output: Output, store: Store) -> TrainingRun:
    """Fine-tune on the prepared dataset. A second attempt with the same key goes on from the newest valid checkpoint.

    Raises:
        TrainingDiverged: Loss, gradients or weights became NaN or infinite.
        BaseModelError: The base model is missing, fails its checksum or does not load.
    """
    from ftcore.data.reading import read_jsonl
    from ftcore.models.base import resolve_base
    from ftcore.models.devices import choose
    from ftcore.training.checkpoints import exclusive
    from ftcore.training.finetune import fine_tune

    prepared = cast(PreparedDataset, inputs["prepare"])
    rows = store.resolve(prepared.uri)
    labels = tuple(json.loads((rows / "labels.json").read_text(encoding="utf-8")))
    base = resolve_base(spec.base_model, spec.root)
    device = choose(spec.compute)
    with exclusive(output.scratch, output.path / "checkpoints") as checkpoint_dir:
        tuned = fine_tune(
            read_jsonl(rows / "train.jsonl"),
            read_jsonl(rows / "validation.jsonl"),
            labels,
            base=base,
            method=spec.method,
            training=spec.training,
            device=device,
            checkpoint_dir=checkpoint_dir,
            output_dir=output.path,
        )
    return TrainingRun(
        uri=output.uri,
        model_digest=tuned.model_digest,
        base_digest=base.digest,
        base_name=base.name,
        data_digest=prepared.digest,
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
    )
