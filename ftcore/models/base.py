"""Where a base model lies on disk and what it is: nothing here imports torch, so a cache key costs a hash and no more.

A base model is named in one of four ways: `pkg:PACKAGE/FOLDER` (inside an installed Python package), `dvc:PATH` (a folder
of the project's repository, under DVC), a local folder, or a Hub id with a pinned commit. Only safetensors weights count;
pickled weights are never opened and remote code never runs.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

from ftcore.errors import BaseModelError, IntegrityError, first_line
from ftcore.models.tracked import SCHEME, pull_model
from ftcore.records import digest_of
from ftcore.spec import BaseModelSpec, FineTuneSpec
from ftcore.store import Manifest, file_sha256

_MODEL_FILES = (
    "config.json", "generation_config.json", "model*.safetensors", "model.safetensors.index.json", "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json", "merges.txt",
    "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "chat_template.jinja",
)  # fmt: skip
"""What makes a model: these files are fetched and hashed; a README or a second weight format is not."""


@dataclass(frozen=True)
class BaseModel:
    """A base model that is on disk and passed its checks."""

    path: Path
    digest: str
    """SHA-256 over the sorted (name, size in bytes, sha256) of configuration, weights and tokenizer files; of a model that
    ftcore saved, the model digest."""
    name: str
    """As the spec names it, with the commit for a Hub or DVC model; for messages and cards."""


def resolve_base(spec: BaseModelSpec, root: Path | None = None) -> BaseModel:
    """Find (or fetch) the base model and check it before anybody loads it.

    Args:
        root: Where a relative folder starts and whose repository `dvc:` means: the spec's project folder; default: the
            current folder.

    Raises:
        BaseModelError: It is not there, has no safetensors weights, or fails the checksum of the spec.
        DataUnreachable: The network to the DVC remote failed (`dvc:` only).
        IntegrityError: The DVC remote gave damaged files (`dvc:` only).
    """
    path, name = _locate(spec, root or Path.cwd())
    weights = sorted(path.glob("model*.safetensors"))
    if not weights:
        pickled = sorted(file.name for file in path.glob("*.bin"))
        seen = f"only {', '.join(pickled)} (pickled, may run code)" if pickled else "no weights at all"
        raise BaseModelError(f"Base model {name}: saw {seen} in {path}, wanted model.safetensors.")
    missing = [file for file in ("config.json",) if not (path / file).is_file()]
    if missing:
        raise BaseModelError(f"Base model {name}: {path} has no {missing[0]}, wanted a transformers model folder.")
    files = sorted({file for pattern in _MODEL_FILES for file in path.glob(pattern) if file.is_file()})
    rows = [[file.name, file.stat().st_size, file_sha256(file)] for file in files]
    _check_sha256(spec, name, {str(row[0]): str(row[2]) for row in rows})
    return BaseModel(path, digest_of(rows), name)


def local_folder(spec: BaseModelSpec, root: Path | None = None) -> Path | None:
    """Where the base model lies on this machine; None: it is not here (yet). Nothing is fetched and nothing checked."""
    try:
        if spec.revision is None or spec.name.startswith("pkg:"):
            return _locate(spec, root or Path.cwd())[0]
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(spec.name, revision=spec.revision, local_files_only=True))
    except (BaseModelError, OSError, ValueError):  # huggingface_hub: not in the cache (an OSError), no such name
        return None


def saved_model(path: Path, digest: str, name: str) -> BaseModel:
    """A model folder that ftcore wrote, every byte checked.

    Raises:
        IntegrityError: Files differ from the manifest, or it is another model than `digest`.
    """
    manifest = Manifest.read(path)
    manifest.verify(path)
    if manifest.digest != digest:
        raise IntegrityError(f"{path} holds model {manifest.digest[:12]}; wanted {digest[:12]}.")
    return BaseModel(path, digest, name)


def base_digest(spec: FineTuneSpec) -> str:
    """Digest of the spec's base model, for cache keys. Hashes the files (about 0.1 s per 100 MB); only qlora imports torch.

    Raises:
        BaseModelError: As `resolve_base`.
        UsageError: Method `qlora` on a machine that cannot run it; nothing is fetched then.
    """
    if spec.method.name == "qlora":
        from ftcore.models.devices import choose

        choose(spec.compute).require_4bit()
    return resolve_base(spec.base_model, spec.root).digest


def resolve_teacher(spec: FineTuneSpec) -> BaseModel:
    """The model that `method.distill.teacher` names.

    Raises:
        BaseModelError: As `resolve_base`.
    """
    distill = spec.method.distill
    assert distill is not None
    return resolve_base(BaseModelSpec(name=distill.teacher, revision=distill.teacher_revision), spec.root)


def teacher_digest(spec: FineTuneSpec) -> str:
    """Digest of the named teacher, for cache keys.

    Raises:
        BaseModelError: As `resolve_base`.
    """
    return resolve_teacher(spec).digest


def _locate(spec: BaseModelSpec, root: Path) -> tuple[Path, str]:
    if spec.name.startswith("pkg:"):
        return _in_package(spec.name), spec.name
    if spec.name.startswith(SCHEME):
        path, commit = pull_model(spec.name, spec.revision or "HEAD", root)
        return path, f"{spec.name}@{commit}"
    if spec.revision is None:
        folder = root / Path(spec.name).expanduser()
        if not folder.is_dir():
            hint = "name a folder that exists, `dvc:PATH`, `pkg:PACKAGE/FOLDER`, or a Hub id with base_model.revision"
            raise BaseModelError(f"Base model {spec.name!r}: no such folder, and no revision for the Hub.", hint=hint)
        return folder.resolve(), spec.name
    return _from_hub(spec.name, spec.revision), f"{spec.name}@{spec.revision}"


def _in_package(name: str) -> Path:
    package, _, folder = name.removeprefix("pkg:").partition("/")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", package) or ".." in Path(folder).parts or Path(folder).is_absolute():
        raise BaseModelError(f"Cannot read the base model name {name!r}; wanted pkg:PACKAGE/FOLDER.")
    found = importlib.util.find_spec(package)  # a top-level name: looked up, not imported
    if found is None or not found.submodule_search_locations:
        hint = f"install the distribution that provides `{package}`"
        raise BaseModelError(f"Base model {name!r}: no package {package!r} is installed here.", hint=hint)
    path = Path(next(iter(found.submodule_search_locations))) / folder
    if not path.is_dir():
        raise BaseModelError(f"Base model {name!r}: the package {package!r} has no folder {folder!r}.")
    return path.resolve()


def _from_hub(name: str, revision: str) -> Path:
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        hint = "copy the full commit from the model page (Files and versions, History)"
        raise BaseModelError(
            f"Base model {name}: revision {revision!r} can move; wanted a commit of 40 hex digits.", hint=hint
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(_MODEL_FILES)))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        hint = "check base_model.name and revision, or name a local folder or pkg: model"
        raise BaseModelError(
            f"Cannot fetch {name}@{revision[:12]} from the Hub: {first_line(error)}", hint=hint
        ) from error


def _check_sha256(spec: BaseModelSpec, name: str, sha256: dict[str, str]) -> None:
    if spec.sha256 is None:
        return
    if "model.safetensors" not in sha256:
        raise BaseModelError(f"Base model {name} is in several parts; base_model.sha256 checks one model.safetensors.")
    if sha256["model.safetensors"] != spec.sha256.lower():
        seen, wanted = sha256["model.safetensors"], spec.sha256
        hint = "fetch the model again; change base_model.sha256 only if you know why it differs"
        raise BaseModelError(f"Base model {name}: model.safetensors has sha256 {seen}, wanted {wanted}.", hint=hint)
