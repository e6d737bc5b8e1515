"""train: prepared rows in, a candidate out (`model/`, for LoRA also `adapter/`, `history.json` and `preflight.json`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from ftcore.records import DataRef, ModelRef, PreparedDataset, Record, TrainingRun
from ftcore.spec import FineTuneSpec
from ftcore.store import Output, Store

if TYPE_CHECKING:
    from ftcore.training.findings import Finding


def run(spec: FineTuneSpec, inputs: Mapping[str, Record | DataRef | None], output: Output, store: Store) -> TrainingRun:
    """Fine-tune on the prepared dataset. A second attempt with the same key goes on from the newest valid checkpoint.

    Raises:
        TrainingDiverged: Loss, gradients or weights became NaN or infinite.
        BaseModelError: The base model is missing, fails its checksum or does not load.
        DataRefused, UsageError: The checks before training found faults.
        IntegrityError: The champion to start from is damaged.
    """
    from ftcore.data.leakage import TrainedRows
    from ftcore.training.checkpoints import exclusive
    from ftcore.training.finetune import fine_tune

    prepared, start = cast(PreparedDataset, inputs["prepare"]), cast(ModelRef | None, inputs.get("start"))
    work = _work(spec, prepared, start, store)
    TrainedRows(store, spec.name).add(prepared.train_digest, [*work["train_rows"], *work["validation_rows"]])
    with exclusive(output.scratch, output.path / "checkpoints") as checkpoint_dir:
        tuned = fine_tune(**work, checkpoint_dir=checkpoint_dir, output_dir=output.path)
    base, device = work["base"], work["device"]
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
        micro_batch_size=tuned.micro_batch_size,
        num_out_of_memory=len(tuned.history.out_of_memory),
        averaged_steps=tuned.averaged_steps,
    )


def preflight(spec: FineTuneSpec, inputs: Mapping[str, Record | DataRef | None], store: Store) -> list[Finding]:
    """The checks before training alone; faults are among the findings.

    Raises:
        As `run`, for what cannot be loaded at all.
    """
    from ftcore.training.finetune import check_before_training

    prepared, start = cast(PreparedDataset, inputs["prepare"]), cast(ModelRef | None, inputs.get("start"))
    return check_before_training(**_work(spec, prepared, start, store))


def _work(spec: FineTuneSpec, prepared: PreparedDataset, start: ModelRef | None, store: Store) -> dict[str, Any]:
    """What training needs, by the names of `fine_tune`'s arguments."""
    from ftcore.data.reading import read_jsonl
    from ftcore.models.base import resolve_base, saved_model
    from ftcore.models.devices import choose

    rows = store.resolve(prepared.uri)
    champion, training = None, spec.training
    if start is not None:
        name = f"champion {start.model_digest[:12]} of {spec.name}"
        champion = saved_model(store.resolve(start.uri) / "model", start.model_digest, name)
        if training.epochs_from_champion:
            training = training.model_copy(update={"epochs": training.epochs_from_champion, "max_steps": None})
    return {
        "train_rows": read_jsonl(rows / "train.jsonl"),
        "validation_rows": read_jsonl(rows / "validation.jsonl"),
        "labels": tuple(json.loads((rows / "labels.json").read_text(encoding="utf-8"))),
        "task": spec.task,
        "base": resolve_base(spec.base_model, spec.root),
        "method": spec.method,
        "training": training,
        "device": choose(spec.compute),
        "champion": champion,
    }
