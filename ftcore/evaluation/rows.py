"""The holdout as arrays: targets and every model's predictions on the same rows, as class codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ftcore.errors import DataRefused

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Column:
    """A column of strings, each distinct value stored once. Code -1: the row has no value."""

    values: tuple[str, ...]
    codes: Ints

    @classmethod
    def of(cls, cells: Sequence[str | None]) -> Column:
        """Encode cells in order of first sight."""
        vocabulary: dict[str, int] = {}
        codes = [-1 if cell is None else vocabulary.setdefault(cell, len(vocabulary)) for cell in cells]
        return cls(tuple(vocabulary), np.array(codes, dtype=np.int64))


@dataclass(frozen=True)
class Holdout:
    """Frozen rows with one prediction per row and model."""

    classes: tuple[str, ...]
    """Every label seen as target or prediction; its position is its code."""
    target: Ints
    """[rows]"""
    predictions: Mapping[str, Ints]
    """By role (`candidate`, `champion`, a baseline): [rows]."""
    groups: Ints | None = None
    """[rows] dense codes of who the row comes from; None: every row stands alone."""
    slices: Mapping[str, Column] | None = None
    """By column name."""

    @property
    def num_rows(self) -> int:
        return len(self.target)


def holdout_of(
    targets: Column,
    predictions: Mapping[str, Column],
    groups: Column | None = None,
    slices: Mapping[str, Column] | None = None,
) -> Holdout:
    """Bring targets and predictions to one set of class codes.

    Raises:
        DataRefused: There are no rows, columns differ in length, or a target or prediction is missing.
    """
    num_rows = len(targets.codes)
    faults = [] if num_rows else ["no rows"]
    for name, column in {"target": targets, **predictions}.items():
        if len(column.codes) != num_rows:
            faults.append(f"{name}: {len(column.codes)} rows, wanted {num_rows}")
        elif num_rows and column.codes.min() < 0:
            faults.append(f"{name}: {int((column.codes < 0).sum())} rows have no value")
    if faults:
        raise DataRefused("The predictions cannot be compared:", details=faults)
    classes = tuple(sorted({*targets.values, *(value for column in predictions.values() for value in column.values)}))
    code = {label: index for index, label in enumerate(classes)}
    return Holdout(
        classes,
        _recode(targets, code),
        {role: _recode(column, code) for role, column in predictions.items()},
        None if groups is None else dense_groups(groups),
        slices,
    )


def _recode(column: Column, code: Mapping[str, int]) -> Ints:
    return np.array([code[value] for value in column.values], dtype=np.int64)[column.codes]


def dense_groups(column: Column) -> Ints | None:
    """Group codes 0..G-1 with every row that has no group alone in its own; None where no group has a second row."""
    codes = column.codes.copy()
    alone = np.flatnonzero(codes < 0)
    codes[alone] = len(column.values) + np.arange(len(alone))
    distinct, dense = np.unique(codes, return_inverse=True)
    return None if len(distinct) == len(codes) else dense.astype(np.int64)


def group_sums(values: Floats, groups: Ints | None) -> Floats:
    """Sum of `values` per group: [groups]; the values themselves where every row stands alone."""
    return values if groups is None else np.bincount(groups, weights=values).astype(np.float64)
