"""The model package: everything needed to serve, watch and explain one model, in one verified folder.

packages/<model_digest>/
  model/          safetensors, config, tokenizer, labels.json of a classifier (what is served)
  adapter/        LoRA weights, if the method made any
  reference/      rows and embeddings that monitoring compares production with
  spec.yaml       the spec as it was
  lineage.json    records of all stages, what training depended on, code digest, installed packages
  verdict.json    the evidence that first let it into production
  MANIFEST.json   path, size and SHA-256 of every file above
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import platform
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

import ftcore
from ftcore.errors import IntegrityError, SpecError
from ftcore.models.base import saved_model
from ftcore.records import Evaluation, Record, TrainingRun, Verdict, canonical_json, digest_of
from ftcore.spec import FineTuneSpec, load_spec
from ftcore.store import MANIFEST, Manifest, Store, copy_folder, make_folder, publish_folder, storage_errors

SPEC = "spec.yaml"
LINEAGE = "lineage.json"
VERDICT = "verdict.json"
LINEAGE_SCHEMA = 1


def package_uri(model_digest: str) -> str:
    """Where a model's package lies in the store."""
    return f"packages/{model_digest}"


def build_package(spec: FineTuneSpec, records: Mapping[str, Record], store: Store) -> str:
    """Make the candidate's package, or verify the one that is there.

    Args:
        records: Records of ingest, validate, prepare, train, evaluate and judge, by stage name.

    Returns:
        The package's uri in the store.

    Raises:
        IntegrityError: The training output does not match its digest, or a package that is there is damaged.
        StorageError: The disk refused; nothing half-written is left.
    """
    training, evaluation = records["train"], records["evaluate"]
    assert isinstance(training, TrainingRun)
    assert isinstance(evaluation, Evaluation)
    final = store.root / package_uri(training.model_digest)
    if final.is_dir():
        verify_package(final)
        return package_uri(training.model_digest)
    temporary = store.root / "tmp" / f"package-{training.model_digest[:16]}-{uuid.uuid4().hex[:8]}"
    try:
        with storage_errors(temporary):
            make_folder(temporary)
            source = store.resolve(training.uri)
            for part in ("model", "adapter"):
                if (source / part).is_dir():
                    copy_folder(source / part, temporary / part)
            copy_folder(store.resolve(evaluation.uri) / "reference", temporary / "reference")
            settings = yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
            (temporary / SPEC).write_text(settings, encoding="utf-8")
            (temporary / LINEAGE).write_text(canonical_json(lineage(spec, records, store)), encoding="utf-8")
            (temporary / VERDICT).write_text(canonical_json(records["judge"].to_dict()), encoding="utf-8")
        saved_model(
            temporary / "model", training.model_digest, spec.name
        )  # the copy, not the source: these bytes will be served
        publish_folder(temporary, final)
    except FileNotFoundError as error:
        message = f"The output {training.uri} or {evaluation.uri} lacks {Path(error.filename).name}."
        raise IntegrityError(message, hint="run the pipeline again") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    verify_package(final)
    return package_uri(training.model_digest)


def verify_package(path: Path) -> None:
    """Check every byte of a package against its manifest, and its model against its name.

    Raises:
        IntegrityError: Files are missing, added or changed, or the model is not the one the folder is named after.
    """
    Manifest.read(path).verify(path)
    saved_model(path / "model", path.name, path.name)


def lineage(spec: FineTuneSpec, records: Mapping[str, Record], store: Store) -> dict[str, Any]:
    """Where the candidate comes from: enough to answer which rows, base model, code, settings and evidence made it."""
    training, verdict = records["train"], records["judge"]
    assert isinstance(training, TrainingRun)
    assert isinstance(verdict, Verdict)
    depended_on = json.loads((store.resolve(training.uri) / "inputs.json").read_text(encoding="utf-8"))
    return {
        "schema": LINEAGE_SCHEMA,
        "spec": spec.name,
        "spec_digest": spec.digest,
        "model_digest": training.model_digest,
        "base_model": {"name": training.base_name, "digest": training.base_digest},
        "started_from": training.started_from,
        "verdict_digest": verdict.digest,
        "records": {name: record.to_dict() for name, record in sorted(records.items())},
        "training_depended_on": depended_on,
        "code": {"ftcore": ftcore.__version__, "source_sha256": source_sha256()},
        "environment": environment(),
    }


@functools.cache
def source_sha256() -> str:
    """SHA-256 over all Python source of this ftcore."""
    root = Path(ftcore.__file__).parent
    sha = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        sha.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return sha.hexdigest()


@functools.cache
def environment() -> dict[str, Any]:
    """Python and every installed distribution with its version, and one digest over them: the lock as it really was."""
    packages = {
        str(item.metadata["Name"]).lower(): str(item.version)
        for item in importlib.metadata.distributions()
        if item.metadata["Name"]
    }
    return {"python": platform.python_version(), "packages": packages, "digest": digest_of(packages)}


def read_lineage(path: Path) -> dict[str, Any]:
    """The lineage of a package, checked against the package's manifest.

    Raises:
        IntegrityError: It is missing, damaged, or of another schema.
    """
    found: dict[str, Any] = json.loads(_verified_bytes(path, LINEAGE))
    if found.get("schema") != LINEAGE_SCHEMA:
        raise IntegrityError(f"{path / LINEAGE} has schema {found.get('schema')!r}; wanted {LINEAGE_SCHEMA}.")
    return found


def package_spec(path: Path) -> FineTuneSpec:
    """The spec that a packaged model was made with and is served by, checked against the package's manifest.

    Raises:
        IntegrityError: It is missing, damaged, or not readable by this ftcore.
    """
    _verified_bytes(path, SPEC)
    try:
        return load_spec(path / SPEC)
    except SpecError as error:
        raise IntegrityError(f"{path} holds no readable {SPEC}.", details=error.details) from error


def _verified_bytes(path: Path, name: str) -> bytes:
    wanted = {file: sha for file, _, sha in Manifest.read(path).files}
    try:
        data = (path / name).read_bytes()
    except FileNotFoundError:
        raise IntegrityError(f"{path} has no {name}.") from None
    if hashlib.sha256(data).hexdigest() != wanted.get(name):
        raise IntegrityError(f"{path / name} does not match {MANIFEST}.", hint="ftcore audit verify")
    return data
