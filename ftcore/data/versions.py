"""Data versions: which bytes a DataRef means, and how they get here.

A version is a commit of a git repository under DVC, or, for a plain folder, the digest of its content. `pull` reads at the
commit through DVC's file system, so it takes no DVC lock, writes nothing into the repository's work tree and does not care
what is checked out. DVC serves whatever lies under an object's name in cache or remote, even when the bytes are damaged, so
every DVC file is hashed again on arrival.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from ftcore.data.git import is_url, resolve_commit
from ftcore.data.repository import DataRepository
from ftcore.errors import DataMissing, DataUnavailable, DataUnreachable, FtcoreError, IntegrityError, UsageError
from ftcore.records import DataRef
from ftcore.spec import FineTuneSpec
from ftcore.store import Manifest, copy_folder, storage_errors

__all__ = ["DataRepository", "own_data", "pull", "resolve_rev"]


def own_data(spec: FineTuneSpec, rev: str | None = None) -> DataRef:
    """The data that the spec names, at `rev` instead of the spec's revision if one is asked for."""
    repo = spec.data.repo
    if repo is not None and not is_url(repo):
        repo = str(spec.at(repo))
    return DataRef(
        repo=repo,
        rev=rev or spec.data.rev,
        path=spec.data.path if repo is not None else str(spec.at(spec.data.path)),
        remote=spec.data.remote,
        reason="command line" if rev else "spec",
    )


def resolve_rev(ref: DataRef) -> str:
    """The exact version that `ref` names: a full commit, or for a plain folder its manifest digest. Imports no DVC.

    Raises:
        DataUnavailable: The repository, revision or folder is not there, or may not be read.
    """
    if ref.repo is None:
        with _may_read(ref.path):
            return Manifest.of(_plain_folder(ref.path)).digest
    return resolve_commit(ref.repo, ref.rev)


def pull(ref: DataRef, target: Path) -> str:
    """Put the files of `ref` below `target` (made; must not exist) and return the resolved version.

    Raises:
        DataUnavailable: The repository, remote, revision or path is missing, or the remote lacks objects; the hint names the
            command that helps. `target` is gone then.
        IntegrityError: Bytes that arrived do not match the hash that DVC recorded, or a file's name leads out of the folder.
        StorageError: The disk is full, or `target` may not be written.
    """
    rev = resolve_rev(ref)
    with storage_errors(target):
        try:
            if ref.repo is None:
                with _may_read(ref.path):
                    copy_folder(_plain_folder(ref.path), target)
                if Manifest.of(target).digest != rev:
                    raise DataUnavailable(f"{ref.path} changed while it was copied.", hint="run the same command again")
            else:
                _pull_dvc(ref, rev, target)
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise
    return rev


@contextlib.contextmanager
def _may_read(path: str) -> Iterator[None]:
    """Tell "may not read the data" from "may not write the copy", which storage_errors() says."""
    try:
        yield
    except PermissionError as error:
        seen = Path(error.filename or "")
        if not seen.is_relative_to(Path(path).expanduser()):
            raise
        raise DataUnavailable(f"No permission to read {seen} (data.path).", hint=f"ls -ld {seen}") from error


def _plain_folder(path: str) -> Path:
    folder = Path(path).expanduser()
    if not folder.is_dir():
        seen = "a file" if folder.exists() else "nothing"
        raise DataMissing(
            f"Saw {seen} at {folder.absolute()}, wanted a folder (data.path).", hint=f"ls {folder.parent}"
        )
    return folder


def _pull_dvc(ref: DataRef, rev: str, target: Path) -> None:
    from dvc.api import DVCFileSystem

    assert ref.repo is not None
    source = "/" + _inside(ref.path)
    repo = ref.repo if is_url(ref.repo) else str(Path(ref.repo).absolute())
    try:
        # Copies, never links: a linked file would change under our manifest when the cache does.
        fs = DVCFileSystem(repo, rev=rev, remote=ref.remote, config={"cache": {"type": ["copy"]}})
        files = _list_files(fs, source, ref)
        for name, md5 in files:
            local = target / _below(source, name)
            local.parent.mkdir(parents=True, exist_ok=True)
            fs.get_file(name, str(local))
            _check_md5(local, md5, ref)
    except FtcoreError:
        raise
    except Exception as error:
        raise _explain(error, ref, repo) from error


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or PurePosixPath(path).is_absolute() or ".." in parts:
        raise UsageError(f"data.path is {path!r}; wanted a path inside the repository, for example `data`.")
    return PurePosixPath(path).as_posix()


def _below(source: str, name: str) -> PurePosixPath:
    """Path of a listed file inside the folder. Listings come from the remote: one could name files anywhere on this machine."""
    path = PurePosixPath(name)
    if ".." in path.parts or not path.is_relative_to(source):
        raise IntegrityError(f"The data version lists {name!r}, which leads out of its folder {source!r}.")
    return path.relative_to(source)


def _list_files(fs: Any, source: str, ref: DataRef) -> list[tuple[str, str | None]]:
    """(path, MD5 that DVC recorded or None for a file that git itself tracks) of every file below `source`, sorted."""
    if not fs.exists(source):
        # A folder above it may be tracked while its list is not to be had: then it is not the path that is wrong.
        for parent in PurePosixPath(source).parents[:-1]:
            if fs.exists(str(parent)):
                fs.find(str(parent))
        top = sorted(PurePosixPath(name).name for name in fs.ls("/", detail=False))
        there = ", ".join(name for name in top if not name.startswith(".")) or "nothing"
        message = f"{ref.repo} at {ref.rev} has no path {ref.path!r} (data.path); it has: {there}."
        raise DataMissing(message, hint=f"dvc add {ref.path} && git add {ref.path}.dvc && git commit")
    if fs.isfile(source):
        raise DataMissing(
            f"{ref.path} in {ref.repo} is a file, wanted a folder (data.path).", hint=f"dvc list {ref.repo}"
        )
    found = fs.find(source, detail=True)
    return sorted((name, info.get("md5") or (info.get("dvc_info") or {}).get("md5")) for name, info in found.items())


def _check_md5(path: Path, md5: str | None, ref: DataRef) -> None:
    if md5 is None:
        return
    with path.open("rb") as file:
        seen = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if seen != md5:
        message = f"{path.name} arrived damaged: its MD5 is {seen}, DVC recorded {md5}."
        remote = f" -r {ref.remote}" if ref.remote else ""
        hint = f"delete object {md5[:2]}/{md5[2:]} from cache and remote, then `dvc push{remote}` from a good copy"
        raise IntegrityError(message, hint=hint)


def _explain(error: Exception, ref: DataRef, repo: str) -> FtcoreError:
    """What a failure inside DVC means to the user."""
    from dvc.config import NoRemoteError, RemoteNotFoundError
    from dvc.scm import CloneError, RevError

    option = f" -r {ref.remote}" if ref.remote else ""
    if (
        isinstance(error, OSError)
        and error.errno is not None
        and not isinstance(error, FileNotFoundError | ConnectionError)
    ):
        return _disk_or_remote(error, ref)
    if isinstance(error, RemoteNotFoundError):
        names = ", ".join(sorted(_remotes(repo))) or "none"
        message = f"{ref.repo} has no DVC remote {ref.remote!r} (data.remote); remotes there: {names}."
        return DataUnavailable(message, hint=f"dvc remote add {ref.remote} URL")
    if isinstance(error, ImportError):
        return UsageError(f"The DVC remote needs a missing package: {error}.", hint="pip install 'ftcore[s3]'")
    if isinstance(error, CloneError | RevError):
        return DataUnavailable(f"Cannot read {ref.repo} at {ref.rev}: {error}.", hint=f"git ls-remote {ref.repo}")
    remotes = _remotes(repo)
    if isinstance(error, NoRemoteError) or (not remotes and not is_url(repo)):
        message = f"{ref.repo} at {ref.rev}: {ref.path} is not in the local DVC cache and no DVC remote is configured."
        return DataUnavailable(message, hint="dvc remote add -d NAME URL, then `dvc push` where the data is")
    name = ref.remote or next(iter(remotes), "")
    address = remotes.get(name, "")
    if address and "://" not in address and not Path(address).is_dir():
        message = f"The DVC remote {name!r} cannot be reached: no folder at {address}."
        return DataUnavailable(message, hint=f"mount it, or `dvc remote modify {name} url NEW_URL`")
    state = f"the DVC remote {name!r} cannot be reached or lacks objects of {ref.path}"
    message = f"{ref.repo} at {ref.rev}: {state} ({_seen(error)})."
    kind = DataUnreachable if _is_network_fault(error) else DataUnavailable
    return kind(message, hint=f"dvc push{option or (f' -r {name}' if name else '')} where the data is")


def _disk_or_remote(error: OSError, ref: DataRef) -> FtcoreError:
    from errno import EACCES, EDQUOT, ENOSPC, EPERM, EROFS

    if error.errno in (ENOSPC, EDQUOT, EACCES, EPERM, EROFS):
        raise error  # storage_errors around pull() says it
    return DataUnavailable(f"Cannot read {ref.path} from the DVC remote: {error.strerror}.", hint="dvc remote list")


def _is_network_fault(error: BaseException) -> bool:
    """True if a connection failed somewhere below: such a call may succeed later."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
    # Remotes' clients (botocore, aiohttp, paramiko) have error trees of their own, told by name.
    return any(
        isinstance(item, ConnectionError | TimeoutError) or re.search("Connect|Timeout", type(item).__name__)
        for item in chain
    )


def _seen(error: Exception) -> str:
    cause = error.__cause__ or error
    return " ".join(f"{type(cause).__name__}: {cause}".split())[:160]


def _remotes(repo: str) -> dict[str, str]:
    """Name -> address of a local repository's DVC remotes, the default one first; empty for a URL."""
    if is_url(repo):
        return {}
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(repo, uninitialized=True) as opened:
            default = opened.config["core"].get("remote")
            found = {name: str(settings.get("url", "")) for name, settings in opened.config["remote"].items()}
    except DvcException:
        return {}
    return dict(sorted(found.items(), key=lambda item: item[0] != default))
