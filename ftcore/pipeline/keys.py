"""Cache keys: everything that a stage's result depends on, down to the source of the rooms and the versions of libraries."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ftcore.data.named_files import MISSING, file_identity
from ftcore.pipeline.inputs import Inputs
from ftcore.records import DataRef, ModelRef, PreparedDataset, Record
from ftcore.spec import PREVIOUS_CHAMPION, SHIPPED, FineTuneSpec
from ftcore.stages import Stage

_OPTIONAL = frozenset({"teacher", PREVIOUS_CHAMPION})  # inputs that only some specs have
_SOURCE = (".py", ".txt", ".css", ".json", ".yaml")
# Libraries whose version can change a stage's result.
_COMPUTING = (
    "accelerate", "cleanlab", "datasets", "dvc", "ftfy", "great-expectations", "numpy", "pandas", "peft", "phonenumbers",
    "py3langid", "rapidfuzz", "sacrebleu", "safetensors", "scikit-learn", "scipy", "tokenizers", "torch", "transformers",
    "trl",
)  # fmt: skip


def key_inputs(stage: Stage, spec: FineTuneSpec, inputs: Inputs) -> dict[str, Any]:
    """Everything that a stage's result depends on, as plain JSON; its digest is the key.

    A search's result is in it through the settings (`tuned`): the same ones written into the spec give the same key.
    """
    depends: dict[str, Any] = {
        "stage": stage.name,
        "code": {room: source_digest(room) for room in (f"stages/{stage.name}.py", *stage.rooms)},
        "spec": spec.part(stage.sections, stage.ignored),
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
        depends["synonyms"] = file_identity(spec, spec.prepare.augment.synonyms)
    if stage.name == "prepare" and spec.prepare.personal_engine == "presidio":
        from ftcore.data.personal.presidio import engine_identity

        depends["presidio"] = engine_identity(spec.prepare.presidio, spec.root)
    if stage.name == "evaluate":
        depends |= _read_by_evaluate(spec)
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


def _read_by_evaluate(spec: FineTuneSpec) -> dict[str, Any]:
    """The user's own files and code that `evaluate` reads, where the spec names any."""
    settings, read = spec.evaluation, dict[str, Any]()
    if settings.must_pass:
        read["must_pass"] = file_identity(spec, settings.must_pass)
    if probes := settings.probes:
        named = (probes.safety, probes.general_text, probes.canaries)
        read["probes"] = {name: file_identity(spec, name) for name in named if name and name != SHIPPED}
    if settings.llm_judge and settings.llm_judge.labels:
        read["llm_judge_labels"] = file_identity(spec, settings.llm_judge.labels)
    if settings.metrics:
        from ftcore.evaluation.own_metrics import identity

        read["own_metrics"] = identity(settings.metrics)
    return read


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
    files: dict[str, Any] = {"suite": file_identity(spec, str(spec.suite))}
    files["accepted"] = file_identity(spec, accepted) if accepted else None
    if files["suite"] == MISSING:  # the stage says so, with what to do
        return files, False
    from ftcore.validation.suites import load_suite

    loaded = load_suite(spec.suite)
    files["words"] = {name: file_identity(spec, name) for name in loaded.word_files}
    return files, loaded.needs_tokenizer


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
    root = Path(__file__).parents[1]
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
