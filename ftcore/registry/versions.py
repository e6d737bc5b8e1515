"""MLflow's model registry: one registered model per spec, one version per model, the alias `champion` on one of them.

A version is what MLflow users know: a folder with an `MLmodel` file of the transformers and pyfunc flavours, which
`mlflow.transformers.load_model("models:/NAME@champion")` loads. An encoder-decoder has no pipeline in transformers 5: it has the
first flavour alone, and `return_type="components"` loads it. ftcore itself never loads through MLflow. Everything here may be
repeated: a version is found again by its tag `ftcore.model_digest`.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ftcore.registry.package import verify_package
from ftcore.registry.tracking import find_or_create_run, upload_folder
from ftcore.store import copy_folder, storage_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

ALIAS = "champion"
MODEL_TAG = "ftcore.model_digest"
PROMOTION_TAG = "ftcore.promotion_id"
_PIPELINES = {"classifier": ("text-classification", "TextClassificationPipeline"),
              "decoder": ("text-generation", "TextGenerationPipeline"),
              "seq2seq": ("text2text-generation", "Text2TextGenerationPipeline")}  # fmt: skip
_OUTPUTS = {
    "classifier": '[{"type": "string", "name": "label", "required": true}, '
    '{"type": "double", "name": "score", "required": true}]',
    "decoder": '[{"type": "string", "required": true}]',
    "seq2seq": '[{"type": "string", "required": true}]',
}
_ADAPTER = "adapter"  # inside model/, where an adapter could not be merged
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json",
                    "merges.txt", "spiece.model", "tokenizer.model", "added_tokens.json", "chat_template.jinja")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What MLflow shows as champion."""

    version: str
    model_digest: str | None
    promotion_id: str | None


def shown_champion(client: MlflowClient, name: str) -> Shown | None:
    """The version that carries the alias; None if the model, the alias or its version is not there."""
    from mlflow.exceptions import MlflowException

    try:
        version = client.get_registered_model(name).aliases.get(ALIAS)
        if version is None:
            return None
        found = client.get_model_version(name, str(version))
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    return Shown(
        version=str(version), model_digest=found.tags.get(MODEL_TAG), promotion_id=found.tags.get(PROMOTION_TAG)
    )


def ensure_version(
    client: MlflowClient, name: str, model_digest: str, package: Path, checkpoint: Callable[[str], None]
) -> str:
    """The version that holds this model; made from its package if there is none.

    Args:
        checkpoint: Called after each step with its name.

    Raises:
        IntegrityError: There is no version yet, and the package is damaged or gone.
        StorageError: The disk refused the copy.
    """
    _ensure_registered_model(client, name)
    version = _find_version(client, name, model_digest)
    if version is None:
        verify_package(package)
        run = find_or_create_run(client, name, model_digest)
        folder = package.parents[1] / "tmp" / f"mlmodel-{model_digest[:16]}-{uuid.uuid4().hex[:8]}"
        try:
            with storage_errors(folder):
                _write_mlflow_folder(folder, package, run.info.run_id, model_digest)
            source = upload_folder(client, run, folder, "model")
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        checkpoint("uploaded")
        tags = {MODEL_TAG: model_digest}
        version = client.create_model_version(name, source, run.info.run_id, tags=tags).version
    checkpoint("registered")
    return str(version)


def set_champion(
    client: MlflowClient, name: str, version: str, promotion_id: str, checkpoint: Callable[[str], None]
) -> None:
    """Tag the version with the promotion that made it champion, then move the alias."""
    client.set_model_version_tag(name, version, PROMOTION_TAG, promotion_id)
    checkpoint("tagged")
    client.set_registered_model_alias(name, ALIAS, version)
    checkpoint("aliased")


def _ensure_registered_model(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _find_version(client: MlflowClient, name: str, model_digest: str) -> str | None:
    found = client.search_model_versions(f"name = '{name}' AND tags.`{MODEL_TAG}` = '{model_digest}'")
    return min((str(item.version) for item in found), key=int, default=None)


def _write_mlflow_folder(folder: Path, package: Path, run_id: str, model_digest: str) -> None:
    """A copy of the package in MLflow's layout; large files are hard links where the file system allows."""
    copy_folder(package, folder, _link_or_copy)
    tokenizer = folder / "components" / "tokenizer"
    tokenizer.mkdir(parents=True)
    for name in _TOKENIZER_FILES:
        if (package / "model" / name).is_file():
            _link_or_copy(package / "model" / name, tokenizer / name)
    libraries = ["mlflow", "transformers", "torch", *(["peft"] if (package / "model" / _ADAPTER).is_dir() else [])]
    versions = {name: importlib.metadata.version(name) for name in libraries}
    (folder / "requirements.txt").write_text("".join(f"{name}=={version}\n" for name, version in versions.items()))
    python_env = {"python": platform.python_version(), "dependencies": ["-r requirements.txt"]}
    (folder / "python_env.yaml").write_text(yaml.safe_dump(python_env))
    (folder / "MLmodel").write_text(yaml.safe_dump(_mlmodel(package, run_id, model_digest, versions), sort_keys=False))


def _mlmodel(package: Path, run_id: str, model_digest: str, versions: dict[str, str]) -> dict[str, Any]:
    """The MLmodel file that `mlflow.transformers.save_model` would write (MLflow 3.17, flavor_config.py)."""
    config = yaml.safe_load((package / "model" / "config.json").read_text(encoding="utf-8"))  # JSON is YAML
    settings = yaml.safe_load((package / "model" / "tokenizer_config.json").read_text(encoding="utf-8"))
    kind = "seq2seq" if config.get("is_encoder_decoder") else "decoder"
    if (package / "model" / "labels.json").is_file():
        kind = "classifier"
    task, pipeline = _PIPELINES[kind]
    transformers_flavor = {
        "code": None,
        "components": ["tokenizer"],
        "instance_type": pipeline,
        "model_binary": "model",
        "pipeline_model_type": config["architectures"][0],
        "source_model_name": package.name,
        "task": task,
        "tokenizer_type": settings.get("tokenizer_class", "PreTrainedTokenizerFast"),
        "transformers_version": versions["transformers"],
    }
    if (package / "model" / _ADAPTER).is_dir():
        transformers_flavor["peft_adaptor"] = f"model/{_ADAPTER}"
    pyfunc_flavor = {
        "env": {"virtualenv": "python_env.yaml"},
        "loader_module": "mlflow.transformers",
        "python_version": platform.python_version(),
    }
    flavors = {"transformers": transformers_flavor}
    if kind != "seq2seq":
        flavors["python_function"] = pyfunc_flavor
    return {
        "artifact_path": "model",
        "flavors": flavors,
        "metadata": {MODEL_TAG: model_digest},
        "mlflow_version": versions["mlflow"],
        "run_id": run_id,
        "signature": {"inputs": '[{"type": "string", "required": true}]', "outputs": _OUTPUTS[kind], "params": None},
    }


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
