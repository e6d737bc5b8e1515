"""Holdout reuse: a permanent index of every row that a model was ever trained on.

A test row that training has seen once stays seen: splits that change, files that swap and champions that training goes on from
would carry it into the evidence unnoticed. The index holds 64-bit hashes of normalised texts, one file per training set, and
is only ever added to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ftcore.data.cleaning import match_keys
from ftcore.errors import DataRefused, IntegrityError
from ftcore.store import Store, make_folder, write_durable

RULE = "reused"
_BYTES = 8


class TrainedRows:
    """The rows that trainings of one spec have seen, under `trained/<spec>/` of the store."""

    def __init__(self, store: Store, spec: str) -> None:
        self._folder = store.root / "trained" / spec

    @property
    def exists(self) -> bool:
        """True once a training of the spec is on record."""
        return self._folder.is_dir()

    def add(self, train_digest: str, rows: Sequence[Mapping[str, Any]]) -> int:
        """Remember the rows of a training set before anything learns from them; safe to repeat and to run twice at once.

        Args:
            train_digest: Identity of the training set; names the file.
            rows: Rows with `text`.

        Returns:
            How many texts the index did not know. Only these are written, so that a set that grows costs what is new in it.

        Raises:
            StorageError: The disk is full or the folder may not be written.
        """
        path = self._folder / f"{train_digest}.u64"
        if path.is_file():
            return 0
        hashes = np.unique(_hashes(match_keys(rows)))
        new = hashes[~self._known(hashes)]
        make_folder(self._folder)
        write_durable(path, new.astype("<u8").tobytes())
        return len(new)

    def seen(self, rows: Sequence[Mapping[str, Any]]) -> list[int]:
        """Numbers of the rows whose normalised text an earlier training has seen.

        Raises:
            IntegrityError: A file of the index is cut off.
        """
        keys = match_keys(rows)
        known = self._known(_hashes(keys))
        return [number for number, key in enumerate(keys) if known[number] and key]

    def _known(self, hashes: np.ndarray) -> np.ndarray:
        known = np.zeros(len(hashes), bool)
        for path in sorted(self._folder.glob("*.u64")):
            stored = _read(path)
            if len(stored):
                at = np.minimum(np.searchsorted(stored, hashes), len(stored) - 1)
                known |= stored[at] == hashes
        return known


def check_holdout(index: TrainedRows, test: Sequence[Mapping[str, Any]], max_leaked: float) -> str | None:
    """A note if earlier trainings have seen rows of the holdout, within the budget; None if they have seen none.

    Raises:
        DataRefused: They have seen a larger share than `max_leaked` of it.
    """
    seen = index.seen(test)
    if not seen:
        return None
    share = len(seen) / len(test)
    message = (
        f"{len(seen)} of {len(test)} holdout rows ({share:.2%}) were trained on by earlier trainings of this model"
    )
    if share <= max_leaked:
        return f"{message}; allowed: {max_leaked:.2%} (leakage.max_leaked)"
    ids = ", ".join(str(test[number]["id"]) for number in seen[:3])
    raise DataRefused(
        f"{message}, wanted at most {max_leaked:.2%} (leakage.max_leaked).",
        details=[f"ids {ids}{' and more' if len(seen) > 3 else ''}"],
        hint="hold out rows that no training has seen: new files under data.files.test, or the split that was used before",
    )


def _hashes(keys: Sequence[str]) -> np.ndarray:
    digests = (hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=_BYTES).digest() for key in keys)
    return np.frombuffer(b"".join(digests), dtype="<u8")


def _read(path: Path) -> np.ndarray:
    size = path.stat().st_size
    if size % _BYTES:
        raise IntegrityError(
            f"{path} has {size} bytes, wanted a multiple of {_BYTES}: the index of trained rows is damaged.",
            hint="restore it from a backup; without it, a holdout that training has seen cannot be told",
        )
    return np.memmap(path, dtype="<u8", mode="r") if size else np.empty(0, "<u8")
