"""What a stage is given: records of earlier stages, what the ledger says, and the settings that a search has chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftcore.errors import UsageError
from ftcore.ledger import Ledger
from ftcore.pipeline.decisions import standing
from ftcore.pipeline.references import champion_ref, data_ref, previous_champion_ref, start_ref, teacher_ref
from ftcore.records import DataRef, Evaluation, PreparedDataset, Record, TrainingRun, TuningResult
from ftcore.spec import PREVIOUS_CHAMPION, FineTuneSpec, with_settings
from ftcore.stages import Stage
from ftcore.store import Store

Inputs = Mapping[str, Record | DataRef | None]

_FROM_LEDGER = ("start", "champion", "withdrawal", "standing", "released")  # None is an answer


def gather(
    stage: Stage,
    spec: FineTuneSpec,
    ledger: Ledger,
    store: Store,
    records: Mapping[str, Any],
    rev: str | None = None,
) -> Inputs:
    """A stage's inputs: records of earlier stages, plus what comes from the ledger (`data`, `start`, `champion`, `withdrawal`,
    `standing`).

    Raises:
        UsageError: A needed record is missing.
    """
    inputs: dict[str, Any] = {name: records[name] for name in stage.inputs if name in records}
    if "data" in stage.inputs and "data" not in inputs:
        inputs["data"] = data_ref(spec, ledger, rev)
    missing = [name for name in stage.inputs if name not in inputs and name not in _FROM_LEDGER]
    if missing:
        raise UsageError(
            f"Stage {stage.name} needs the record of {', '.join(missing)}.",
            hint=f"ftcore run SPEC --to {stage.name}",
        )
    if "start" in stage.inputs and "start" not in inputs:
        prepared = inputs["prepare"]
        assert isinstance(prepared, PreparedDataset)
        inputs["start"] = start_ref(spec, ledger, store, prepared)
    if stage.name in ("tune", "train") and spec.method.distill and spec.method.distill.teacher == "champion":
        inputs["teacher"] = teacher_ref(spec, ledger, store)
    if "released" in stage.inputs and "released" not in inputs:
        inputs["released"] = ledger.released(spec.name)
    if "withdrawal" in stage.inputs and "withdrawal" not in inputs:
        from ftcore.registry.champions import champions

        evaluation = inputs["evaluate"]
        assert isinstance(evaluation, Evaluation)
        inputs["withdrawal"] = champions(ledger, spec.name).withdrawn.get(evaluation.candidate_digest)
    if "standing" in stage.inputs and "standing" not in inputs:
        evaluation = inputs["evaluate"]
        assert isinstance(evaluation, Evaluation)
        inputs["standing"] = standing(spec, ledger, store, evaluation)
    if "champion" in stage.inputs and "champion" not in inputs:
        training = inputs["train"]
        assert isinstance(training, TrainingRun)
        inputs["champion"] = champion_ref(spec, ledger, training.model_digest)
    if stage.name == "evaluate" and PREVIOUS_CHAMPION in spec.evaluation.baselines:
        training = inputs["train"]
        assert isinstance(training, TrainingRun)
        inputs[PREVIOUS_CHAMPION] = previous_champion_ref(spec, ledger, training.model_digest)
    return inputs


def tuned(spec: FineTuneSpec, inputs: Inputs) -> FineTuneSpec:
    """The spec with the settings that a search has chosen; the spec itself where `inputs` holds no result of one.

    Raises:
        SpecError: The record's settings are not of this spec.
    """
    result = inputs.get("tune")
    return with_settings(spec, result.settings) if isinstance(result, TuningResult) else spec
