"""Running one stage, or finding its verified earlier output; and all of them in a row."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ftcore.errors import IntegrityError, UsageError
from ftcore.ledger import Ledger
from ftcore.models.libraries import import_libraries
from ftcore.pipeline.decisions import record_decision, record_scored
from ftcore.pipeline.inputs import Inputs, gather, tuned
from ftcore.pipeline.keys import key_inputs
from ftcore.pipeline.rules import record_rules
from ftcore.records import Evaluation, PreparedDataset, Record, TuningResult, Verdict, digest_of
from ftcore.spec import FineTuneSpec
from ftcore.stages import ORDER, Stage, stage_of, stages_of
from ftcore.stages.promote import actor
from ftcore.store import Store, write_durable


@dataclass(frozen=True)
class Step:
    """What became of one stage."""

    stage: str
    record: Record
    reused: bool
    why: tuple[str, ...]
    """Why it ran or was reused."""
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "stage": self.stage, "reused": self.reused, "why": list(self.why), "seconds": round(self.seconds, 3),
            "record": self.record.to_dict(),
        }  # fmt: skip


def run_stage(name: str, spec: FineTuneSpec, inputs: Inputs, store: Store) -> Step:
    """Run one stage, or find its verified earlier output.

    Raises:
        FtcoreError: Whatever the stage raises; nothing half-written is left behind.
    """
    stage = stage_of(name, spec)
    spec = tuned(spec, inputs)
    started = time.monotonic()
    if name == "promote":  # acts on the ledger, which makes it safe to repeat
        with store.writing(name, "none") as output:
            record = _module_of(stage).run(spec, inputs, output, store)
        return Step(name, record, False, ("acts on the ledger",), time.monotonic() - started)
    notes = holdout_notes(spec, inputs, store) if name in ("tune", "train") else ()
    depends = key_inputs(stage, spec, inputs)
    key = digest_of(depends)
    record = store.find(name, key)
    if record is not None:
        return Step(
            name,
            record,
            True,
            (f"nothing it depends on changed (key {key[:12]})", *notes),
            time.monotonic() - started,
        )
    why = (*store.explain(name, depends), *notes)
    with store.writing(name, key) as output:
        record = _module_of(stage).run(spec, inputs, output, store)
        if not store.commit(output, record, depends):
            record = store.find(name, key)
            if record is None:
                raise IntegrityError(
                    f"Another process published {output.uri}, but it fails verification.", hint="run again"
                )
    return Step(name, record, False, why, time.monotonic() - started)


def share_search(spec: FineTuneSpec, inputs: Inputs, store: Store, worker: int | None = None) -> dict[str, Any]:
    """A part of `tune` that runs before the stage itself, so that several processes can run trials side by side.

    Args:
        worker: Run trials as this one; None: make the study and say which workers there are to be.

    Raises:
        UsageError: The spec has nothing to tune.
        FtcoreError: What the stage raises.
    """
    stage = stage_of("tune", spec)
    key = digest_of(key_inputs(stage, spec, inputs))
    is_done = store.find("tune", key) is not None
    if worker is None:
        if is_done:
            return {"workers": [0], "is_done": True}
        holdout_notes(spec, inputs, store)
        return {"workers": _module_of(stage).begin(spec, inputs, store.scratch("tune", key), store), "is_done": False}
    is_done = is_done or not _module_of(stage).work(spec, inputs, store.scratch("tune", key), store, worker)
    return {"worker": worker, "is_done": is_done}


def _module_of(stage: Stage) -> Any:
    if stage.isolated:
        import_libraries()
    return importlib.import_module(stage.module)


def holdout_notes(spec: FineTuneSpec, inputs: Inputs, store: Store) -> tuple[str, ...]:
    """Look the holdout up among the rows that earlier trainings have seen. On every run, for the answer of an earlier one
    does not hold for ever.

    Raises:
        DataRefused: Too many of them.
    """
    if "reused" not in spec.leakage.rules:
        return ()
    from ftcore.data.reading import read_jsonl
    from ftcore.data.trained_rows import TrainedRows, check_holdout

    prepared = inputs["prepare"]
    assert isinstance(prepared, PreparedDataset)
    test = read_jsonl(store.resolve(prepared.uri) / "test.jsonl")
    note = check_holdout(TrainedRows(store, spec.name), test, spec.leakage.max_leaked)
    return (note,) if note else ()


def begin_stage(name: str, spec: FineTuneSpec, ledger: Ledger) -> None:
    """What the ledger must know before a stage runs: the rules of the gate, before anything is trained.

    Raises:
        GateChanged: They are not those on record.
    """
    if name in ("tune", "train"):
        record_rules(spec, ledger, actor())


def finish_stage(step: Step, spec: FineTuneSpec, inputs: Inputs, ledger: Ledger, store: Store) -> None:
    """What follows from a finished stage: scores of the holdout and verdicts are counted, and MLflow is told.

    Args:
        spec: As the stage ran with it: see `tuned`.

    Raises:
        ServiceUnavailable: As `log_to_mlflow`.
    """
    if isinstance(step.record, Evaluation):
        record_scored(spec.name, step.record, ledger, store, actor())
    if isinstance(step.record, Verdict):
        evaluation = inputs["evaluate"]
        assert isinstance(evaluation, Evaluation)
        record_decision(spec.name, step.record, evaluation, ledger, store, actor())
    log_to_mlflow(step, spec, store)


def log_to_mlflow(step: Step, spec: FineTuneSpec, store: Store) -> None:
    """Send a finished stage to MLflow once; a marker beside the output remembers it.

    Args:
        spec: As the stage ran with it: see `tuned`.

    Raises:
        ServiceUnavailable: MLflow does not answer. The stage's output is kept: the next run logs it and goes on. Trials of a
            search are no reason to stop: the next run tries again.
    """
    uri = getattr(step.record, "uri", None)
    if step.stage not in ("tune", "train", "evaluate", "judge") or uri is None:
        return
    marker = store.root / f"{uri}.logged"
    if marker.exists():
        return
    if isinstance(step.record, TuningResult):
        from ftcore.tuning.tracking import log_search

        if not log_search(spec, step.record, store):
            return
    else:
        from ftcore.registry.tracking import log_stage

        log_stage(spec, step.record, store)
    write_durable(marker, "")


def run_pipeline(
    spec: FineTuneSpec,
    store: Store,
    ledger: Ledger,
    *,
    first: str = ORDER[0],
    last: str = ORDER[-1],
    rev: str | None = None,
    announce: Callable[[str], None] = lambda stage: None,
) -> Iterator[Step]:
    """Run `first` to `last`, yielding each step; ends early after a refusal.

    Stages before `first` must have been run before: they are reused, never run.

    Raises:
        UsageError: A stage name is unknown, the range is empty, or a stage before `first` has no output to reuse.
    """
    for name in (first, last):
        stage_of(name, spec)
    if ORDER.index(first) > ORDER.index(last):
        raise UsageError(f"Nothing lies between {first} and {last}; the order is {', '.join(ORDER)}.")
    records: dict[str, Record] = {}
    for name, stage in stages_of(spec).items():
        if ORDER.index(name) > ORDER.index(last):
            return
        inputs = gather(stage, spec, ledger, store, records, rev)
        if ORDER.index(name) < ORDER.index(first):
            record = store.find(name, digest_of(key_inputs(stage, tuned(spec, inputs), inputs)))
            if record is None:
                raise UsageError(f"Stage {name} has no output to start from.", hint=f"ftcore run SPEC --from {name}")
            records[name] = record
            continue
        announce(name)
        begin_stage(name, spec, ledger)
        step = run_stage(name, spec, inputs, store)
        finish_stage(step, tuned(spec, inputs), inputs, ledger, store)
        records[name] = step.record
        yield step
        if step.record.refused:
            return
