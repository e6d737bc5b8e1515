"""The holdout as arrays: targets and every model's predictions on the same rows, as class codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ftcore.errors import DataRefused

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
_ROUNDED = 1e-3  # how far a row of float32 (or bf16) probabilities may be from the sum 1


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
class Probabilities:
    """One model's probabilities on the holdout."""

    values: Floats
    """[rows, classes] from 0 to 1; targets that the model does not know have columns of 0 at the end."""
    target: Ints
    """[rows] the column of each row's target."""


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
    probabilities: Mapping[str, Probabilities] = field(default_factory=dict)
    """By role; a model that only names classes has none."""
    row_metrics: Mapping[str, Mapping[str, Floats]] = field(default_factory=dict)
    """By role and name: [rows] a user's own metric, 0 to 1."""

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


def probabilities_of(values: Floats, classes: Sequence[str], targets: Column) -> Probabilities:
    """A model's probabilities beside the targets.

    Args:
        values: [rows, classes].
        classes: The model's labels, in the order of the columns.

    Raises:
        DataRefused: The numbers are no probabilities of these classes, row by row.
    """
    if values.shape != (len(targets.codes), len(classes)) or len(set(classes)) != len(classes):
        wanted = f"{len(targets.codes)} rows and {len(classes)} different classes"
        raise DataRefused(f"The probabilities have the shape {list(values.shape)}, wanted {wanted}.")
    values = np.asarray(values, dtype=float)
    wrong = ~(np.isfinite(values) & (values >= 0) & (values <= 1 + _ROUNDED)).all(axis=1)
    wrong |= np.abs(np.where(np.isfinite(values), values, 0.0).sum(axis=1) - 1) > _ROUNDED
    if wrong.any():
        raise DataRefused(f"{int(wrong.sum())} rows hold no probabilities: wanted numbers from 0 to 1 with the sum 1.")
    known = {label: index for index, label in enumerate(classes)}
    unknown = [label for label in targets.values if label not in known]
    code = known | {label: len(known) + index for index, label in enumerate(unknown)}
    padded = np.concatenate([values, np.zeros((len(values), len(unknown)))], axis=1) if unknown else values
    return Probabilities(padded, _recode(targets, code))


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


def row_metric_faults(role: str, row_metrics: Mapping[str, Floats], num_rows: int) -> list[str]:
    """What is wrong with scores per row that were made elsewhere."""
    faults = []
    for name, rows in row_metrics.items():
        bad = num_rows if len(rows) != num_rows else int((~((rows >= 0) & (rows <= 1))).sum())
        if bad:
            faults.append(f"{role}: {bad} rows have no {name}; wanted numbers from 0 to 1")
    return faults
