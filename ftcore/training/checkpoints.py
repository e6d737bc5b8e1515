"""Training checkpoints that can be believed: published whole, found again by content, never by name alone.

A checkpoint is a folder `checkpoint-STEP` with a SHA-256 manifest written last and published by one rename. The newest
checkpoint that verifies, together with the earlier ones that the candidate may be made of, is where training goes on; whatever
lies above it is damaged and removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from ftcore.errors import IntegrityError
from ftcore.store import Manifest, publish_folder, storage_errors

STATE = "trainer_state.json"
RELIES_ON = "relies_on.json"
"""Steps of the checkpoints that the candidate would be made of if training ended here: a list."""


@contextlib.contextmanager
def writing(folder: Path, step: int) -> Iterator[Path]:
    """A place to write one checkpoint; published as `folder/checkpoint-STEP` when the block ends without an exception."""
    temporary = folder / f".writing-{step}"
    with storage_errors(folder):
        shutil.rmtree(temporary, ignore_errors=True)  # left by a killed process
        temporary.mkdir(parents=True)
        try:
            yield temporary
            publish_folder(temporary, path_of(folder, step))
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def path_of(folder: Path, step: int) -> Path:
    """Folder of the checkpoint of one step."""
    return folder / f"checkpoint-{step}"


def steps_in(folder: Path) -> list[int]:
    """Steps with a checkpoint of that name, valid or not, ascending."""
    if not folder.is_dir():
        return []
    found = (re.fullmatch(r"checkpoint-(\d+)", path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in found if match)


def is_valid(folder: Path, step: int) -> bool:
    """True if every file of the checkpoint is there and matches its manifest."""
    try:
        Manifest.read(path_of(folder, step)).verify(path_of(folder, step))
    except IntegrityError:
        return False
    return True


def relies_on(folder: Path, step: int) -> list[int]:
    """Steps whose checkpoints must be whole if training is to go on from a valid checkpoint."""
    steps: list[int] = json.loads((path_of(folder, step) / RELIES_ON).read_text(encoding="utf-8"))
    return steps


def latest_valid(folder: Path) -> tuple[int | None, list[int]]:
    """The newest step to resume from, found by verifying downward, and the damaged steps above it, now removed."""
    damaged: list[int] = []
    for step in reversed(steps_in(folder)):
        if is_valid(folder, step) and all(is_valid(folder, other) for other in relies_on(folder, step)):
            return step, damaged
        damaged.append(step)
        shutil.rmtree(path_of(folder, step))
    return None, damaged


def rotate(folder: Path, needed: Collection[int], newest: int = 2) -> None:
    """Delete all but the needed checkpoints and the newest ones."""
    for step in steps_in(folder)[:-newest]:
        if step not in needed:
            shutil.rmtree(path_of(folder, step))


@contextlib.contextmanager
def exclusive(scratch: Path, private: Path) -> Iterator[Path]:
    """The folder to keep checkpoints in: `scratch`, or `private` (deleted afterwards) while another process uses `scratch`.

    The lock is the kernel's, so it ends with its process however that dies.
    """
    with storage_errors(scratch):
        scratch.mkdir(parents=True, exist_ok=True)
        with (scratch / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                try:
                    yield private
                finally:
                    shutil.rmtree(private, ignore_errors=True)
                return
            yield scratch


@contextlib.contextmanager
def shared(scratch: Path) -> Iterator[bool]:
    """Keep `scratch` from being anybody's alone (`exclusive`) while the block runs. False: it is somebody's already."""
    with storage_errors(scratch):
        scratch.mkdir(parents=True, exist_ok=True)
        with (scratch / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True
