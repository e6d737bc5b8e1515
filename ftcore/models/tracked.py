"""Base models under DVC: `dvc:PATH` is a folder of the project's repository, pulled from cache or remote into FTCORE_HOME.

Like data, a model is read at a commit: what lies in the work tree does not count. The copy is kept by the identity that git
gives the `.dvc` file, so commits that leave the model alone cost three questions to git and no second copy.
"""

from __future__ import annotations

import re
import shutil
import uuid
from pathlib import Path, PurePosixPath

from ftcore.data.git import resolve_commit, run_git
from ftcore.data.versions import pull
from ftcore.errors import BaseModelError, DataUnavailable, DataUnreachable, IntegrityError
from ftcore.records import DataRef, digest_of
from ftcore.store import BASE_MODELS, Manifest, ftcore_home, publish_folder

SCHEME = "dvc:"


def pull_model(name: str, rev: str, root: Path) -> tuple[Path, str]:
    """The folder that holds the model's files, checked against the manifest of when they came, and the commit.

    Args:
        name: `dvc:PATH`, the path inside the repository.
        rev: Commit, tag or branch.
        root: The project's folder: a git repository with DVC.

    Raises:
        BaseModelError: No such repository, revision or folder, or the remote lacks the files; the hint says what to type.
        DataUnreachable: The network to the remote failed.
        IntegrityError: Bytes arrived that are not those DVC recorded.
        StorageError: FTCORE_HOME cannot be written.
    """
    path = PurePosixPath(name.removeprefix(SCHEME))
    if not path.parts or path.is_absolute() or ".." in path.parts:
        message = f"Cannot read the base model name {name!r}; wanted dvc:PATH, a folder of the project's repository."
        raise BaseModelError(message, hint="for example dvc:models/tiny-chat")
    try:
        commit = resolve_commit(str(root), rev)
    except DataUnavailable as error:
        message = f"Base model {name}: {root} is no git repository that has the revision {rev!r}."
        hint = f"git -C {root} log -1 {rev}; a model outside of a repository is named by its folder"
        raise BaseModelError(message, hint=hint) from error
    kept = ftcore_home() / BASE_MODELS / _identity(root, commit, path)
    if not _is_whole(kept):
        try:
            _fetch(DataRef(repo=str(root), rev=commit, path=str(path)), kept)
        except DataUnreachable:
            raise
        except DataUnavailable as error:
            seen = re.sub(r" \(data\.\w+\)", "", error.message)  # it is not that field of the spec this time
            raise BaseModelError(f"Base model {name}: {seen}", hint=error.hint) from error
    return kept, commit


def _identity(root: Path, commit: str, path: PurePosixPath) -> str:
    """A name for the content: git's object name of the `.dvc` file that tracks the folder or one above it; without one
    (the folder lies in git itself, say), the commit."""
    for tracked in (path, *path.parents[:-1]):
        found = run_git("rev-parse", "--verify", "--quiet", f"{commit}:./{tracked}.dvc", cwd=root)
        if found.returncode == 0:
            return digest_of([found.stdout.strip(), str(path)])[:32]
    return digest_of([commit, str(path)])[:32]


def _is_whole(folder: Path) -> bool:
    """False if it is not there or was changed since; then it goes, to be pulled again."""
    if not folder.is_dir():
        return False
    try:
        Manifest.read(folder).verify(folder)
    except IntegrityError:
        shutil.rmtree(folder)
        return False
    return True


def _fetch(ref: DataRef, kept: Path) -> None:
    temporary = kept.with_name(f".{kept.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        pull(ref, temporary)
        publish_folder(temporary, kept)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
