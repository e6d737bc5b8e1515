"""Runs stages: the same functions whether Airflow calls them one by one or `ftcore run` calls them in a row.

A stage runs only when no verified output with its key exists. The key is the digest of everything the result depends
on: the stage, the source of the rooms it uses, the parts of the spec it reads, the digests of its inputs, the
libraries that compute, and the device class.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ftcore.errors import IntegrityError, UsageError
from ftcore.ledger import Ledger
from ftcore.records import DataRef, Evaluation, ModelRef, PreparedDataset, Record, TrainingRun, TuningResult, digest_of
from ftcore.spec import FineTuneSpec, with_settings
from ftcore.stages import ORDER, Stage, stage_of, stages_of
from ftcore.store import Store, file_sha256, write_durable

Inputs = Mapping[str, Record | DataRef | None]

_FROM_LEDGER = ("start", "champion", "withdrawal", "released")  # None is an answer
_OPTIONAL = frozenset({"teacher"})  # inputs that only some specs have
_MISSING = "missing"
_SOURCE = (".py", ".txt", ".css", ".json")
# Libraries whose version can change a stage's result.
_COMPUTING = (
    "accelerate", "cleanlab", "datasets", "dvc", "ftfy", "great-expectations", "numpy", "pandas", "peft", "phonenumbers",
    "py3langid", "rapidfuzz", "sacrebleu", "safetensors", "scikit-learn", "scipy", "tokenizers", "torch", "transformers",
    "trl",
)  # fmt: skip


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
            record = importlib.import_module(stage.module).run(spec, inputs, output, store)
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
        record = importlib.import_module(stage.module).run(spec, inputs, output, store)
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
    module = importlib.import_module(stage.module)
    key = digest_of(key_inputs(stage, spec, inputs))
    is_done = store.find("tune", key) is not None
    if worker is None:
        if is_done:
            return {"workers": [0], "is_done": True}
        holdout_notes(spec, inputs, store)
        return {"workers": module.begin(spec, inputs, store.scratch("tune", key), store), "is_done": False}
    is_done = is_done or not module.work(spec, inputs, store.scratch("tune", key), store, worker)
    return {"worker": worker, "is_done": is_done}


def tuned(spec: FineTuneSpec, inputs: Inputs) -> FineTuneSpec:
    """The spec with the settings that a search has chosen; the spec itself where `inputs` holds no result of one.

    Raises:
        SpecError: The record's settings are not of this spec.
    """
    result = inputs.get("tune")
    return with_settings(spec, result.settings) if isinstance(result, TuningResult) else spec


def holdout_notes(spec: FineTuneSpec, inputs: Inputs, store: Store) -> tuple[str, ...]:
    """Look the holdout up among the rows that earlier trainings have seen. On every run, for the answer of an earlier one
    does not hold for ever.

    Raises:
        DataRefused: Too many of them.
    """
    if "reused" not in spec.leakage.rules:
        return ()
    from ftcore.data.leakage import TrainedRows, check_holdout
    from ftcore.data.reading import read_jsonl

    prepared = inputs["prepare"]
    assert isinstance(prepared, PreparedDataset)
    test = read_jsonl(store.resolve(prepared.uri) / "test.jsonl")
    note = check_holdout(TrainedRows(store, spec.name), test, spec.leakage.max_leaked)
    return (note,) if note else ()


def key_inputs(stage: Stage, spec: FineTuneSpec, inputs: Inputs) -> dict[str, Any]:
    """Everything that a stage's result depends on, as plain JSON; its digest is the key.

    A search's result is in it through the settings (`tuned`): the same ones written into the spec give the same key.
    """
    depends: dict[str, Any] = {
        "stage": stage.name,
        "code": {room: source_digest(room) for room in (f"stages/{stage.name}.py", *stage.rooms)},
        "spec": spec.part(stage.sections),
        "inputs": {
            name: _input_identity(stage, inputs.get(name))
            for name in (*stage.inputs, *_OPTIONAL & inputs.keys())
            if name != "tune"
        },
        "libraries": library_versions(),
    }
    needs_base, embeds = stage.name in ("prepare", "tune", "train", "evaluate"), _embeds(stage, spec)
    if stage.name == "tune":
        depends["libraries"] = depends["libraries"] | {"optuna": importlib.metadata.version("optuna")}
    if stage.name == "validate":
        judged_by, looks_at_tokens = _judged_by(spec)
        depends |= judged_by
        depends["personal"] = [spec.prepare.personal_kinds, spec.prepare.phone_regions]
        needs_base = looks_at_tokens or embeds
    if stage.name == "prepare" and spec.prepare.augment.synonyms:
        depends["synonyms"] = _file_identity(spec, spec.prepare.augment.synonyms)
    if stage.name == "prepare" and spec.prepare.personal_engine == "presidio":
        from ftcore.data.personal.presidio import engine_identity

        depends["presidio"] = engine_identity(spec.prepare.presidio, spec.root)
    if stage.name == "prepare" and (read := _read_by_phases(spec)):
        depends["phases"] = read
    if (
        stage.name in ("tune", "train")
        and spec.method.distill
        and spec.method.distill.teacher not in ("new", "champion")
    ):
        from ftcore.models.base import teacher_digest

        depends["teacher"] = teacher_digest(spec)
    if needs_base:
        from ftcore.models.base import base_digest

        depends["base_model"] = base_digest(spec)
    if embeds:
        depends["code"]["models/embeddings.py"] = source_digest("models/embeddings.py")
    if stage.isolated or embeds:
        from ftcore.models.hardware import device_class

        depends["device"] = device_class(spec.compute)
    return depends


def _read_by_phases(spec: FineTuneSpec) -> dict[str, Any]:
    """What `prepare` reads for the optional phases of the method."""
    adapt, prefer = spec.method.adapt, spec.method.prefer
    read: dict[str, Any] = {"texts": adapt.texts} if adapt and adapt.texts else {}
    return read | ({"preferences": [prefer.algorithm, prefer.data]} if prefer else {})


def _embeds(stage: Stage, spec: FineTuneSpec) -> bool:
    """True if a stage that loads no model otherwise looks for paraphrases."""
    wanted = {"validate": ("report", "leak"), "prepare": ("leak",)}
    return spec.leakage.paraphrases in wanted.get(stage.name, ())


def _judged_by(spec: FineTuneSpec) -> tuple[dict[str, Any], bool]:
    """Files that validation reads besides the data, and whether its suite looks at tokens.

    Raises:
        UsageError: The suite is faulty.
    """
    accepted = spec.validation.accepted
    files: dict[str, Any] = {"suite": _file_identity(spec, str(spec.suite))}
    files["accepted"] = _file_identity(spec, accepted) if accepted else None
    if files["suite"] == _MISSING:  # the stage says so, with what to do
        return files, False
    from ftcore.validation.suites import load_suite

    loaded = load_suite(spec.suite)
    files["words"] = {name: _file_identity(spec, name) for name in loaded.word_files}
    return files, loaded.needs_tokenizer


def _file_identity(spec: FineTuneSpec, name: str) -> str:
    path = spec.at(name)
    return file_sha256(path) if path.is_file() else _MISSING


def _input_identity(stage: Stage, value: Record | DataRef | None) -> Any:
    if value is None:
        return None
    if isinstance(value, DataRef):
        from ftcore.data.versions import resolve_rev

        identity = asdict(value)
        del identity["reason"]
        return {**identity, "rev": resolve_rev(value)}
    if isinstance(value, ModelRef):
        return {"model": value.model_digest, "seq": value.seq}
    if isinstance(value, PreparedDataset) and stage.name in ("tune", "train"):
        return value.train_digest  # a holdout row put right trains nothing again
    return value.digest


@functools.cache
def source_digest(room: str) -> str:
    """SHA-256 over the source of a room (package folder or single file, relative to ftcore/), with the word lists, style sheets
    and suites that lie beside the code."""
    root = Path(__file__).parent
    path = root / room
    files = [path] if path.suffix == ".py" else sorted(file for file in path.rglob("*") if file.suffix in _SOURCE)
    sha = hashlib.sha256()
    for file in files:
        sha.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return sha.hexdigest()


@functools.cache
def library_versions() -> dict[str, str]:
    """Versions of Python (major.minor) and of the libraries that compute."""
    versions = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in _COMPUTING:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "absent"
    return versions


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


def gather(
    stage: Stage,
    spec: FineTuneSpec,
    ledger: Ledger,
    store: Store,
    records: Mapping[str, Any],
    rev: str | None = None,
) -> Inputs:
    """A stage's inputs: records of earlier stages, plus what comes from the ledger (`data`, `start`, `champion`, `withdrawal`).

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
    if "champion" in stage.inputs and "champion" not in inputs:
        training = inputs["train"]
        assert isinstance(training, TrainingRun)
        inputs["champion"] = champion_ref(spec, ledger, training.model_digest)
    return inputs


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
        step = run_stage(name, spec, inputs, store)
        log_to_mlflow(step, tuned(spec, inputs), store)
        records[name] = step.record
        yield step
        if step.record.refused:
            return
