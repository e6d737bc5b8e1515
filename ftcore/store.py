"""Durable writes, SHA-256 manifests and content-addressed stage outputs: the one place that writes state to disk.

The rule (ALICE, OSDI 2014: most crash bugs are a missing fsync or a wrong order): temporary name in the same folder,
write, fsync the file, rename, fsync the folder. A folder is built under a temporary name, its `MANIFEST.json` is
written last, then one rename publishes it. A reader trusts only what matches its manifest, so a half-written output
is never mistaken for a result.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftcore.errors import IntegrityError, StorageError
from ftcore.records import Record, canonical_json, digest_of, parse_json, record_from_dict

MANIFEST = "MANIFEST.json"
RECORD = "record.json"
BASE_MODELS, PROBES = "base-models", "probes"
CACHES = frozenset({BASE_MODELS, PROBES})
"""Folders of FTCORE_HOME that hold no state: what is in them can be had again."""
_CHUNK_BYTES = 1 << 20


def ftcore_home() -> Path:
    """Folder of all state: `$FTCORE_HOME`, default `.ftcore` in the current folder. Absolute."""
    return Path(os.environ.get("FTCORE_HOME") or ".ftcore").absolute()


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes, read in chunks."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            sha.update(chunk)
    return sha.hexdigest()


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write under `path` into a StorageError that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            place = ftcore_home() if path.is_relative_to(ftcore_home()) else path.parent
            hint = f"df -h {place}; free some space, then run the same command again"
            raise StorageError(
                f"The disk is full: cannot write {path}. Nothing half-written is left.", hint=hint
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StorageError(
                f"No permission to write {path} ({error.strerror}).", hint=f"ls -ld {path.parent}"
            ) from error
        raise


def fsync_dir(path: Path) -> None:
    """Make the folder's entries (a rename, a new file) survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make a folder and its missing parents so that they, too, survive a power cut; one that is there stays as it is.

    Raises:
        StorageError: The disk is full or may not be written.
    """
    with storage_errors(path):
        for folder in reversed((path, *path.parents)):
            if not folder.is_dir():
                folder.mkdir(exist_ok=True)  # another process may be making it as well
                fsync_dir(folder.parent)


def write_durable(path: Path, data: bytes | str) -> None:
    """Replace `path` with `data` so that after a crash it holds either the old bytes or the new, never a mixture.

    Raises:
        StorageError: The disk is full or may not be written; the old file stays and no temporary file is left.
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    with storage_errors(path):
        try:
            with temporary.open("xb") as file:
                file.write(data.encode() if isinstance(data, str) else data)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
            fsync_dir(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def copy_folder(source: Path, target: Path, copy: Callable[[Path, Path], object] = shutil.copyfile) -> None:
    """Copy a folder's files. Unlike shutil.copytree it stops at the first fault, with the operating system's own error."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        if path.is_dir():
            copy_folder(path, target / path.name, copy)
        else:
            copy(path, target / path.name)


@dataclass(frozen=True)
class Manifest:
    """The sorted (relative path, size in bytes, SHA-256) of a folder's files."""

    files: tuple[tuple[str, int, str], ...]

    @classmethod
    def of(cls, folder: Path, *, ignore: tuple[str, ...] = (MANIFEST,)) -> Manifest:
        """Read every file below `folder`. Symbolic links are refused: they could point anywhere.

        Raises:
            IntegrityError: The folder holds a symbolic link.
        """
        rows = []
        for path in sorted(folder.rglob("*")):
            if path.is_symlink():
                raise IntegrityError(f"{path} is a symbolic link; wanted plain files only.")
            if path.is_file() and path.relative_to(folder).as_posix() not in ignore:
                rows.append((path.relative_to(folder).as_posix(), path.stat().st_size, file_sha256(path)))
        return cls(tuple(sorted(rows)))

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest stored in `folder`.

        Raises:
            IntegrityError: There is none, or it cannot be read.
        """
        try:
            rows = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
            return cls(tuple((str(path), int(size), str(sha)) for path, size, sha in rows))
        except FileNotFoundError:
            raise IntegrityError(f"{folder} has no {MANIFEST}: it was never finished.") from None
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityError(f"{folder / MANIFEST} cannot be read: {error}.") from None

    @property
    def digest(self) -> str:
        return digest_of([list(row) for row in self.files])

    @property
    def num_bytes(self) -> int:
        return sum(size for _, size, _ in self.files)

    def write(self, folder: Path) -> None:
        write_durable(folder / MANIFEST, canonical_json({"files": [list(row) for row in self.files]}))

    def verify(self, folder: Path) -> None:
        """Compare with what lies in `folder` now.

        Raises:
            IntegrityError: Files are missing, added or changed; each is named.
        """
        now = {path: (size, sha) for path, size, sha in Manifest.of(folder).files}
        then = {path: (size, sha) for path, size, sha in self.files}
        faults = [f"missing: {path}" for path in sorted(then.keys() - now.keys())]
        faults += [f"added: {path}" for path in sorted(now.keys() - then.keys())]
        faults += [f"changed: {path}" for path in sorted(then.keys() & now.keys()) if then[path] != now[path]]
        if faults:
            raise IntegrityError(f"{folder} does not match its manifest:", details=faults)


def publish_folder(temporary: Path, final: Path) -> bool:
    """Fsync everything below `temporary`, write its manifest, rename it to `final`.

    Returns:
        False if `final` was there already (somebody else made the same content first); the temporary folder is
        deleted then.
    """
    with storage_errors(final):
        for path in sorted(temporary.rglob("*")):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        Manifest.of(temporary).write(temporary)
        for folder in sorted((path for path in temporary.rglob("*") if path.is_dir()), reverse=True):
            fsync_dir(folder)
        make_folder(final.parent)
        try:
            temporary.rename(final)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            shutil.rmtree(temporary, ignore_errors=True)
            return False
        fsync_dir(final.parent)
        return True


@dataclass(frozen=True)
class Output:
    """The room a stage writes into: a temporary folder that becomes `uri` once the stage returns its record."""

    path: Path
    """Write here."""
    uri: str
    """Where it will be, relative to the store's root; put this into the record."""
    scratch: Path
    """Survives a crash and is found again by the next attempt with the same key (training checkpoints); removed on success."""


class Store:
    """Stage outputs under `root` (default FTCORE_HOME), addressed by stage and key."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = (root or ftcore_home()).absolute()

    def resolve(self, uri: str) -> Path:
        """Absolute path of a record's `uri`.

        Raises:
            IntegrityError: The uri leaves the store (absolute, or climbs out with `..`).
        """
        path = (self.root / uri).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise IntegrityError(f"The path {uri!r} leads out of the store {self.root}.")
        return path

    def find(self, stage: str, key: str) -> Record | None:
        """The verified record of an earlier run with this key, or None.

        An output that fails verification is moved to `damaged/` (evidence, not a result) and counts as absent.
        """
        folder = self.root / "stages" / stage / key
        if not folder.is_dir():
            return None
        try:
            Manifest.read(folder).verify(folder)
            return record_from_dict(parse_json((folder / RECORD).read_text(encoding="utf-8")))
        except (IntegrityError, ValueError, FileNotFoundError):
            target = self.root / "damaged" / f"{stage}-{key}-{uuid.uuid4().hex[:8]}"
            make_folder(target.parent)
            with contextlib.suppress(FileNotFoundError):  # another process moved it first
                folder.rename(target)
            return None

    def scratch(self, stage: str, key: str) -> Path:
        """Where attempts with this key keep what must survive a crash; see `Output.scratch`."""
        return self.root / "scratch" / stage / key

    @contextlib.contextmanager
    def writing(self, stage: str, key: str) -> Iterator[Output]:
        """A place for one stage run, locked while it is in use. On an exception it is deleted and nothing is published."""
        uri = f"stages/{stage}/{key}"
        temporary = self.root / "tmp" / f"{stage}-{key[:16]}-{uuid.uuid4().hex[:8]}"
        make_folder(temporary)
        lock = os.open(temporary, os.O_RDONLY)
        try:  # the lock tells a sweep of leftovers that the owner lives; where there are no locks, the sweep gets none either
            with contextlib.suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            yield Output(temporary, uri, self.scratch(stage, key))
        finally:
            os.close(lock)
            shutil.rmtree(temporary, ignore_errors=True)

    def commit(self, output: Output, record: Record, inputs: Mapping[str, Any]) -> bool:
        """Publish a finished output: record, key inputs (for `--explain-cache`), manifest, one rename.

        Returns:
            False if another process published this key first; its output stands.
        """
        write_durable(output.path / RECORD, canonical_json(record.to_dict()))
        write_durable(output.path / "inputs.json", canonical_json(dict(inputs)))
        first = publish_folder(output.path, self.root / output.uri)
        stage = Path(output.uri).parent.name
        write_durable(self.root / "stages" / stage / "LATEST", Path(output.uri).name)
        shutil.rmtree(output.scratch, ignore_errors=True)
        return first

    def explain(self, stage: str, inputs: Mapping[str, Any]) -> list[str]:
        """What differs between `inputs` and those of the newest output of `stage`: why it has to run."""
        try:
            latest = (self.root / "stages" / stage / "LATEST").read_text(encoding="utf-8").strip()
            text = (self.root / "stages" / stage / latest / "inputs.json").read_text(encoding="utf-8")
            before = _flatten(json.loads(text))
        except (FileNotFoundError, ValueError):
            return ["no earlier output of this stage"]
        now = _flatten(dict(inputs))
        changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
        if not changed:
            return ["the earlier output is gone or failed verification"]
        return [f"{key}: {_short(before.get(key))} -> {_short(now.get(key))}" for key in changed]


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping):
        flat: dict[str, Any] = {}
        for key, item in value.items():
            flat |= _flatten(item, f"{prefix}.{key}" if prefix else str(key))
        return flat
    return {prefix: value}


def _short(value: Any) -> str:
    text = "absent" if value is None else json.dumps(value)
    return text if len(text) <= 40 else f"{text[:18]}…{text[-6:]}"
