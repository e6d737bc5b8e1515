"""train: prepared rows in, a candidate out: `model/`, `adapter/` where one can be merged, and what was seen on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from ftcore.records import DataRef, ModelRef, PreparedDataset, Record, TrainingRun
from ftcore.spec import FineTuneSpec
from ftcore.store import PROBES, Output, Store

if TYPE_CHECKING:
    from ftcore.training.findings import Finding


def run(spec: FineTuneSpec, inputs: Mapping[str, Record | DataRef | None], output: Output, store: Store) -> TrainingRun:
    """Fine-tune on the prepared dataset. A second attempt with the same key goes on from the newest valid checkpoint.

    Raises:
        TrainingDiverged: Loss, gradients or weights became NaN or infinite.
        BaseModelError: The base model is missing, fails its checksum, does not load or does not fit the method or a baseline.
        SpecError: PEFT does not know fields of `method.peft`.
        UsageError: The spec asks for a device or a package that is not there, or the model does not fit into memory.
        DataRefused: A class has fewer rows than `method.shots`, or the checks before training found faults.
        IntegrityError: The champion to start from is damaged.
    """
    from ftcore.data.trained_rows import TrainedRows
    from ftcore.models.choosing import require_decoder
    from ftcore.models.devices import choose
    from ftcore.training.checkpoints import exclusive
    from ftcore.training.inputs import read_inputs, train_on
    from ftcore.training.probe import Probe

    prepared, start = cast(PreparedDataset, inputs["prepare"]), cast(ModelRef | None, inputs.get("start"))
    device = choose(spec.compute)
    if spec.method.name == "qlora":
        device.require_4bit()  # before the base model is fetched
    given = read_inputs(spec, inputs, store)
    if spec.task == "classification" and "few_shot" in spec.evaluation.baselines:  # before hours, not after them
        require_decoder(given.base.path, given.base.name)
    TrainedRows(store, spec.name).add(prepared.train_digest, [*given.train, *given.validation])
    with exclusive(output.scratch, output.path / "checkpoints") as checkpoint_dir:
        probe = Probe(spec.compute, store.root / PROBES)
        done = train_on(given, spec, device, checkpoint_dir, output.path, probe=probe)
    tuned, device = done.tuned, done.device or device
    return TrainingRun(
        uri=output.uri,
        model_digest=tuned.model_digest,
        base_digest=given.base.digest,
        base_name=given.base.name,
        data_digest=prepared.train_digest,
        method=spec.method.name,
        device=device.device,
        precision=device.precision,
        compute=device.summary(),
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
        settings=spec.part(("method", "training")),
        shots=spec.method.shots,
        taught_by=done.taught_by,
        phases=done.phases,
    )


def preflight(spec: FineTuneSpec, inputs: Mapping[str, Record | DataRef | None], store: Store) -> list[Finding]:
    """The checks before training alone; faults are among the findings.

    Raises:
        As `run`, for what cannot be loaded at all.
    """
    from ftcore.models.devices import choose
    from ftcore.training.inputs import check_on, read_inputs

    return check_on(read_inputs(spec, inputs, store), spec, choose(spec.compute))
