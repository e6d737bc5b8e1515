"""What a stage is given: records of earlier stages, what the ledger says, and the settings that a search has chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftcore.errors import UsageError
from ftcore.ledger import Ledger
from ftcore.records import DataRef, Evaluation, ModelRef, PreparedDataset, Record, TrainingRun, TuningResult
from ftcore.spec import PREVIOUS_CHAMPION, FineTuneSpec, with_settings
from ftcore.stages import Stage
from ftcore.store import Store

Inputs = Mapping[str, Record | DataRef | None]

_FROM_LEDGER = ("start", "champion", "withdrawal", "standing", "released")  # None is an answer


def data_ref(spec: FineTuneSpec, ledger: Ledger, rev: str | None = None) -> DataRef:
    """Which data version to train on: the one asked for, else the newest accepted from feedback, else the spec's own."""
    from ftcore.data.versions import own_data

    newest = ledger.current_data(spec.name) if rev is None and spec.data.follow_feedback else None
    return newest or own_data(spec, rev)


def champion_ref(spec: FineTuneSpec, ledger: Ledger, candidate_digest: str) -> ModelRef | None:
    """The model that a candidate is compared with.

    A candidate that already is the champion is compared with the one it replaced, so that running a finished pipeline
    again finds every output of the first time.
    """
    head = ledger.head(spec.name)
    if head is None:
        return None
    if head.model_digest != candidate_digest:
        return ModelRef(model_digest=head.model_digest, uri=head.package_uri, seq=head.seq)
    before = [item for item in ledger.history(spec.name) if item.seq < head.seq]
    if not before:
        return None
    last = max(before, key=lambda item: item.seq)
    return ModelRef(model_digest=last.model_digest, uri=last.package_uri, seq=last.seq)


def previous_champion_ref(spec: FineTuneSpec, ledger: Ledger, candidate_digest: str) -> ModelRef | None:
    """The model that the champion replaced when it was promoted; None: none, or it was rolled back since.

    As with `champion_ref`, a candidate that already is the champion counts as not promoted yet.
    """
    from ftcore.registry.champions import champions

    champion = champion_ref(spec, ledger, candidate_digest)
    stack = champions(ledger, spec.name).stack
    if stack and stack[-1].model_digest == candidate_digest:
        stack = stack[:-1]
    if champion is None or not stack or stack[-1].model_digest != champion.model_digest:
        return None
    before = [item for item in stack[:-1] if item.model_digest != champion.model_digest]
    if not before:
        return None
    return ModelRef(model_digest=before[-1].model_digest, uri=before[-1].package_uri, seq=before[-1].seq)


def start_ref(spec: FineTuneSpec, ledger: Ledger, store: Store, prepared: PreparedDataset) -> ModelRef | None:
    """The champion whose weights training starts from; None: the base model's.

    A champion that was made from these very rows is no start but the result: its own start is given again, so that running
    a finished pipeline again finds every output of the first time.

    Raises:
        IntegrityError: The champion's lineage is missing or damaged.
    """
    head = ledger.head(spec.name) if spec.method.start_from == "champion" else None
    if head is None:
        return None
    from ftcore.registry.package import package_uri, read_lineage

    digest: str | None = head.model_digest
    made = read_lineage(store.resolve(head.package_uri))
    if made["records"]["train"]["data_digest"] == prepared.train_digest:
        digest = made.get("started_from")
    return ModelRef(model_digest=digest, uri=package_uri(digest), seq=0) if digest else None


def teacher_ref(spec: FineTuneSpec, ledger: Ledger, store: Store) -> ModelRef | None:
    """The model that `method.distill.teacher: champion` names; None: there is no champion.

    A champion that is a student itself has its own teacher named, so that running a finished pipeline again finds every output
    of the first time, and students do not learn from students.

    Raises:
        IntegrityError: The champion's lineage is missing or damaged.
    """
    head = ledger.head(spec.name)
    if head is None:
        return None
    from ftcore.registry.package import package_uri, read_lineage

    made = read_lineage(store.resolve(head.package_uri))
    digest = made["records"]["train"].get("taught_by") or head.model_digest
    return ModelRef(model_digest=digest, uri=package_uri(digest), seq=0)


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
        from ftcore.pipeline.decisions import standing

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
