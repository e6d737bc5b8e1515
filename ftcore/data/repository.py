"""The data repository that ftcore itself writes to: git and DVC under `FTCORE_HOME/datasets/<spec>`, never the user's checkout.

An `add` goes in this order, under a file lock: put the work tree back to the last commit, write the files, `dvc add`,
`dvc push`, and the git commit last. A commit therefore always has its objects in the remote, and whatever a crash leaves
before the commit is wiped by the next call.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ftcore.data.git import run_git
from ftcore.errors import DataUnavailable, StorageError, UsageError
from ftcore.records import DataRef
from ftcore.store import copy_folder, make_folder, storage_errors, write_durable

_LOCK_TIMEOUT_S = 300.0
_RESERVE_BYTES = 16 << 20
_DATA = "data"
_REMOTE = "store"
# Set in this repository only. Hooks and signing of the user's global settings must not run here.
_GIT_CONFIG = {
    "user.name": "ftcore",
    "user.email": "ftcore@localhost",
    "commit.gpgsign": "false",
    "core.hooksPath": "/dev/null",
    "core.autocrlf": "false",
    "gc.auto": "0",
}


class DataRepository:
    """Versions of one spec's data.

    Args:
        home: FTCORE_HOME.
        spec_name: Name of the spec; one repository each.
    """

    def __init__(self, home: Path, spec_name: str) -> None:
        self.root = home.absolute() / "datasets" / spec_name
        self.remote = self.root.with_name(f"{spec_name}-remote")

    def ensure(self, seed: Path) -> DataRef:
        """Make the repository from the files below `seed` if there is none yet; return its newest version.

        Raises:
            DataUnavailable: Another process holds the lock too long, or git fails.
            StorageError: The disk is full.
        """
        with self._locked(), storage_errors(self.root):
            if not self._has_commit():
                shutil.rmtree(self.root, ignore_errors=True)  # half-made by a crash
                self._check_space(sum(path.stat().st_size for path in seed.rglob("*") if path.is_file()))
                self._create()
                copy_folder(seed, self.root / _DATA)
                self._publish("Seed from an ingested data version", "spec")
            return self._newest("spec")

    def add(self, files: Mapping[str, bytes], message: str) -> DataRef:
        """Add or replace files of the data folder and publish the result as a new version.

        The same files a second time give the version that is there already.

        Args:
            files: Path inside the data folder -> content.
            message: Commit message; no row text.

        Raises:
            DataUnavailable: `ensure` has not run, another process holds the lock too long, or git or DVC fails.
            UsageError: A name leaves the data folder.
            StorageError: The disk is full; the newest version stays what it was.
        """
        for name in files:
            path = PurePosixPath(name)
            if path.is_absolute() or not path.parts or ".." in path.parts or "\0" in name:
                raise UsageError(f"{name!r} cannot be a data file; wanted a relative path inside the data folder.")
        with self._locked(), storage_errors(self.root):
            if not self._has_commit():
                raise DataUnavailable(f"There is no data repository at {self.root} yet.", hint="ftcore run SPEC")
            self._check_space(sum(map(len, files.values())))
            self._restore()
            for name, content in files.items():
                write_durable(self.root / _DATA / name, content)
            self._publish(message, "feedback")
            return self._newest("feedback")

    def replace(self, folder: Path, keep: str, message: str) -> DataRef:
        """Publish the files below `folder` in the place of all but those that match the pattern `keep`.

        Raises:
            DataUnavailable: `ensure` has not run, another process holds the lock too long, or git or DVC fails.
            StorageError: The disk is full; the newest version stays what it was.
        """
        with self._locked(), storage_errors(self.root):
            if not self._has_commit():
                raise DataUnavailable(f"There is no data repository at {self.root} yet.", hint="ftcore run SPEC")
            self._check_space(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))
            self._restore()
            data = self.root / _DATA
            for path in sorted(data.rglob("*")):
                if path.is_file() and not path.match(keep):
                    path.unlink()
            copy_folder(folder, data)
            self._publish(message, "spec")
            return self._newest("feedback")

    def newest(self) -> DataRef | None:
        """The newest published version, or None before `ensure`."""
        return self._newest("feedback") if self._has_commit() else None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time, across processes; the kernel frees the lock when its holder dies."""
        path = self.root.with_name(f"{self.root.name}.lock")
        with storage_errors(path):
            make_folder(path.parent)
            file = path.open("a")
        deadline = time.monotonic() + _LOCK_TIMEOUT_S
        with file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        message = f"Another process has been writing {self.root} for {_LOCK_TIMEOUT_S:.0f} s."
                        raise DataUnavailable(message, hint=f"fuser {path}") from None
                    time.sleep(0.1)
            yield

    def _check_space(self, num_bytes: int) -> None:
        """Refuse before the disk is full: DVC keeps its state in SQLite and, on a full disk, retries that without end."""
        need = 3 * num_bytes + _RESERVE_BYTES  # work tree, cache and remote
        free = shutil.disk_usage(self.root.parent).free
        if free < need:
            message = f"The disk is nearly full: {free:,} bytes free at {self.root.parent}, {need:,} needed. Nothing was written."
            raise StorageError(
                message, hint=f"df -h {self.root.parent}; free some space, then run the same command again"
            )

    def _has_commit(self) -> bool:
        # Ask about this folder only: git would otherwise walk up and answer for an enclosing checkout.
        if not (self.root / ".git").is_dir():
            return False
        return run_git("rev-parse", "--verify", "--quiet", "HEAD", cwd=self.root).returncode == 0

    def _create(self) -> None:
        from dvc.repo import Repo

        self.root.mkdir(parents=True)
        self.remote.mkdir(exist_ok=True)
        self._git("init", "--quiet", "--initial-branch=main")
        for name, value in _GIT_CONFIG.items():
            self._git("config", name, value)
        with self._dvc_errors(), Repo.init(str(self.root)):
            pass
        # The address is relative to .dvc/, so that FTCORE_HOME can be moved as a whole.
        settings = f"[core]\n    remote = {_REMOTE}\n    analytics = false\n    autostage = false\n"
        settings += f"['remote \"{_REMOTE}\"']\n    url = ../../{self.remote.name}\n"
        (self.root / ".dvc" / "config").write_text(settings, encoding="utf-8")
        (self.root / ".gitignore").write_text(f"/{_DATA}\n", encoding="utf-8")

    def _restore(self) -> None:
        """Work tree and data folder as of the last commit: whatever a crashed `add` left is gone."""
        for name in ("index.lock", "HEAD.lock", "refs/heads/main.lock"):  # of a git that was killed; we hold the lock
            (self.root / ".git" / name).unlink(missing_ok=True)
        # DVC records who reads and writes by process id; after a kill the id may belong to somebody else by now.
        (self.root / ".dvc" / "tmp" / "rwlock").unlink(missing_ok=True)
        self._git("reset", "--quiet", "--hard", "HEAD")
        shutil.rmtree(self.root / _DATA, ignore_errors=True)
        with self._dvc_errors(), self._dvc() as repo:
            repo.pull(force=True, remote=_REMOTE)

    def _publish(self, message: str, reason: str) -> None:
        with self._dvc_errors(), self._dvc() as repo:
            repo.add(str(self.root / _DATA))
            repo.push(remote=_REMOTE)
        self._git("add", "--all")
        if self._git("status", "--porcelain"):
            self._git("commit", "--quiet", "--no-verify", "-m", f"{message}\n\nReason: {reason}")

    def _newest(self, reason: str) -> DataRef:
        return DataRef(
            repo=str(self.root), rev=self._git("rev-parse", "HEAD"), path=_DATA, remote=_REMOTE, reason=reason
        )

    def _dvc(self) -> Any:
        from dvc.repo import Repo

        # Its own place for DVC's SQLite state: the default one is shared by all users and processes of the machine.
        state = {"core": {"site_cache_dir": str(self.root / ".dvc" / "tmp" / "site")}}
        return Repo(str(self.root), config=state, _wait_for_lock=True)

    @contextlib.contextmanager
    def _dvc_errors(self) -> Iterator[None]:
        from dvc.exceptions import DvcException

        logging.getLogger("dvc").setLevel(logging.ERROR)  # it would explain git to the user on standard output
        try:
            yield
        except DvcException as error:
            message = f"DVC failed in {self.root}: {' '.join(str(error).split())}."
            raise DataUnavailable(message, hint=f"dvc --cd {self.root} status") from error

    def _git(self, *args: str) -> str:
        done = run_git(*args, cwd=self.root)
        if done.returncode != 0:
            detail = " ".join(done.stderr.split())[:300]
            message = f"`git {' '.join(args)}` failed in {self.root}: {detail}."
            if "No space left" in detail:
                raise StorageError(message, hint=f"df -h {self.root}")
            raise DataUnavailable(message, hint=f"git -C {self.root} status")
        return done.stdout.strip()
