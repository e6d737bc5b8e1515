"""Probabilities of every class beside the prediction files: predictions/<role>.probabilities.npy, classes in tables.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ftcore.errors import DataRefused
from ftcore.evaluation.rows import Floats

PROBABILITY_CLASSES = "probability_classes"
"""Where tables.json has the classes of a model, in the order of the columns."""


def write_probabilities(folder: Path, role: str, values: np.ndarray) -> None:
    """float32 [rows, classes], in the order of the role's predictions."""
    np.save(folder / "predictions" / f"{role}.probabilities.npy", values.astype(np.float32), allow_pickle=False)


def read_probabilities(folder: Path, roles: Sequence[str]) -> dict[str, tuple[Floats, tuple[str, ...]]]:
    """By role: predictions/<role>.probabilities.npy [rows, classes] and its classes from tables.json, where they are.

    Raises:
        DataRefused: A file is no array, or its classes are not known.
    """
    found = {}
    for role in roles:
        path = folder / "predictions" / f"{role}.probabilities.npy"
        if not path.is_file():
            continue
        try:
            tables = json.loads((folder / "tables.json").read_text(encoding="utf-8"))
            found[role] = np.load(path, allow_pickle=False), tuple(tables["models"][role][PROBABILITY_CLASSES])
        except (KeyError, ValueError, OSError) as error:
            raise DataRefused(f"The probabilities of the {role} cannot be read ({type(error).__name__}).") from None
    return found
