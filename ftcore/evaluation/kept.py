"""Answers kept while a model is scored, so that a killed evaluation goes on where it was; and how far it is.

Rows are put into batches by length, always the same ones, and what a batch gives depends on nothing but the model, its rows and
the settings. So a batch that was kept is as good as one run again. Files lie in `FOLDER/KEY/`, named by the number of their first
batch and the SHA-256 of their bytes; KEY is the digest of everything that the answers depend on. What does not match its name is
deleted and its batches are run again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load, save

from ftcore.models.batches import Arrays, Runner, Work
from ftcore.records import canonical_json
from ftcore.store import write_durable

RunnerOf = Callable[[str, str], Runner]
"""From a role and the digest of its model."""
KEEP_EVERY_S = 30.0
"""A kill costs so much work at most, and a write of a few milliseconds per half minute costs nothing."""
SAY_EVERY_S = 10.0
_SUFFIX = ".safetensors"


class KeptAnswers:
    """Keeps what batches give.

    Args:
        folder: Where; nobody else may write there. Need not exist.
        device: What the models run on: other devices give other last digits.
        say: Gets one line of progress now and then.
    """

    def __init__(self, folder: Path, device: str, say: Callable[[str], None]) -> None:
        self._folder, self._device, self._say = folder, device, say

    def runner(self, role: str, digest: str) -> Runner:
        """Runs the batches of one model.

        Raises (while it runs):
            StorageError: The disk refuses a write.
        """
        return lambda work: self._run(role, digest, work)

    def _run(self, role: str, digest: str, work: Work) -> Iterator[tuple[np.ndarray, Arrays]]:
        folder = self._folder / _key(digest, self._device, work)
        kept = _read(folder, work.batches)
        progress = _Progress(f"{work.what} of {role}", work, self._say)
        if kept:
            progress.found(kept.keys())
        fresh: dict[int, Arrays] = {}
        written_at = began_at = time.monotonic()
        for number, rows in enumerate(work.batches):
            arrays = kept.pop(number, None)
            if arrays is None:
                arrays = fresh[number] = work.run(rows)
                progress.done(number)
            yield rows, arrays
            if fresh and time.monotonic() - written_at >= KEEP_EVERY_S:
                _write(folder, fresh)
                fresh, written_at = {}, time.monotonic()
        if fresh and time.monotonic() - began_at >= KEEP_EVERY_S / 10:  # what took no time is not worth a file
            _write(folder, fresh)


class _Progress:
    """Lines of progress of one pass."""

    def __init__(self, what: str, work: Work, say: Callable[[str], None]) -> None:
        self._what, self._say = what, say
        self._rows = [len(rows) for rows in work.batches]
        longest = [max(sum(len(column[row]) for column in work.tokens) for row in rows) for rows in work.batches]
        self._cost = [size * (1 + length) for size, length in zip(self._rows, longest, strict=True)]
        self._num_done = self._fresh_rows = self._fresh_cost = 0
        self._cost_left = sum(self._cost)
        self._began_at = self._said_at = time.monotonic()

    def found(self, numbers: Iterable[int]) -> None:
        """Batches that an earlier attempt has left."""
        for number in numbers:
            self._num_done += self._rows[number]
            self._cost_left -= self._cost[number]
        self._say(f"{self._what}: {self._num_done:,} of {sum(self._rows):,} rows are there from an earlier attempt")

    def done(self, number: int) -> None:
        """A batch has just been run. What is left is told by tokens, since the longest rows come last."""
        self._num_done += self._rows[number]
        self._fresh_rows += self._rows[number]
        self._fresh_cost += self._cost[number]
        self._cost_left -= self._cost[number]
        now = time.monotonic()
        if now - self._said_at < SAY_EVERY_S or self._num_done == sum(self._rows):
            return
        self._said_at = now
        seconds = now - self._began_at
        self._say(
            f"{self._what}: {self._num_done:,}/{sum(self._rows):,} rows, {self._fresh_rows / seconds:.3g} rows/s, "
            f"about {self._cost_left * seconds / self._fresh_cost:.0f} s left"
        )


def _key(digest: str, device: str, work: Work) -> str:
    sha = hashlib.sha256(canonical_json([digest, device, work.what, dict(work.settings)]).encode())
    for rows in (*work.tokens, work.batches):
        sha.update(np.array([len(rows), *(len(row) for row in rows)], dtype=np.int64).tobytes())
        for row in rows:
            sha.update(np.asarray(row, dtype=np.int64).tobytes())
    return sha.hexdigest()


def _write(folder: Path, batches: dict[int, Arrays]) -> None:
    data = save({
        f"{number}.{name}": np.ascontiguousarray(array)
        for number, arrays in batches.items()
        for name, array in arrays.items()
    })  # fmt: skip
    write_durable(folder / f"{min(batches):06}-{hashlib.sha256(data).hexdigest()}{_SUFFIX}", data)


def _read(folder: Path, batches: Sequence[np.ndarray]) -> dict[int, Arrays]:
    """Batches by number that are whole."""
    found: dict[int, Arrays] = {}
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        data = path.read_bytes()
        if path.stem.rpartition("-")[2] != hashlib.sha256(data).hexdigest():
            path.unlink()
            continue
        for name, array in load(data).items():
            number, _, part = name.partition(".")
            found.setdefault(int(number), {})[part] = array
    return {number: arrays for number, arrays in found.items() if number < len(batches)}
