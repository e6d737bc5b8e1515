"""Predictions of several models put on the same rows, by id: nothing is compared unless rows, targets and groups agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ftcore.errors import DataRefused, num_of
from ftcore.evaluation.files import LIKELIHOOD, REQUIRED, PredictionFile, row_numbers
from ftcore.evaluation.generation.holdout import Reply, TextHoldout, text_holdout
from ftcore.evaluation.rows import (
    Column,
    Floats,
    Holdout,
    Probabilities,
    holdout_of,
    probabilities_of,
    row_metric_faults,
)


def match(
    files: Mapping[str, PredictionFile],
    slices: Sequence[str] = ("slice",),
    row_metrics: Sequence[str] = (),
    probabilities: Mapping[str, tuple[Floats, Sequence[str]]] | None = None,
) -> Holdout:
    """Put the predictions of several models on the same rows, by id; the first file sets the order.

    Args:
        row_metrics: Columns that hold numbers from 0 to 1 of the model's own rows.
        probabilities: By role: [rows of its file, classes] and the classes.

    Raises:
        DataRefused: Any file has faults, ids or targets differ between files; all faults are listed.
    """
    orders = _orders(files, row_metrics)
    extras = _extras(files, orders, row_metrics)
    targets = next(iter(files.values())).columns["target"]
    holdout = holdout_of(
        targets,
        {role: _take(file.columns["prediction"], orders[role]) for role, file in files.items()},
        extras.get("group"),
        {name: extras[name] for name in slices if name in extras},
    )
    own = {role: _row_metrics(file, orders[role], row_metrics) for role, file in files.items()}
    faults = [fault for role, found in own.items() for fault in row_metric_faults(role, found, holdout.num_rows)]
    known = {}
    for role, (values, classes) in (probabilities or {}).items():
        order = orders[role]
        try:
            known[role] = probabilities_of(values if order is None else values[order], classes, targets)
            faults += _other_labels(role, holdout, known[role], classes)
        except DataRefused as error:
            faults.append(f"{role}: {error.message}")
    if faults:
        raise DataRefused("The prediction files cannot be compared:", details=faults)
    return replace(holdout, row_metrics={role: found for role, found in own.items() if found}, probabilities=known)


def _other_labels(role: str, holdout: Holdout, found: Probabilities, classes: Sequence[str]) -> list[str]:
    """A model predicts its likeliest class; the first of equals."""
    code = {label: index for index, label in enumerate(holdout.classes)}
    likeliest = np.array([code.get(label, -1) for label in classes])[found.values[:, : len(classes)].argmax(axis=1)]
    bad = int((likeliest != holdout.predictions[role]).sum())
    return [f"{role}: {num_of(bad, 'row')} whose prediction is not the likeliest class"] if bad else []


def _row_metrics(file: PredictionFile, order: np.ndarray | None, names: Sequence[str]) -> dict[str, Floats]:
    columns = {name: file.columns.get(name) for name in names}
    numbers = {name: _numbers(None if column is None else _take(column, order)) for name, column in columns.items()}
    return {name: values for name, values in numbers.items() if values is not None}


def match_texts(
    files: Mapping[str, PredictionFile], slices: Sequence[str] = ("slice",), row_metrics: Sequence[str] = ()
) -> TextHoldout:
    """As `match`, for generated text (files read with `free_text` and the columns of `LIKELIHOOD`).

    Raises:
        DataRefused: As `match`, or likelihoods are not numbers.
    """
    orders = _orders(files, row_metrics)
    extras = _extras(files, orders, row_metrics)
    replies = {}
    for role, file in files.items():
        columns = {name: _take(column, orders[role]) for name, column in file.columns.items()}
        nll, num_tokens = (_numbers(columns.get(name)) for name in LIKELIHOOD)
        replies[role] = Reply(
            _cells(columns["prediction"]), nll, num_tokens, _row_metrics(file, orders[role], row_metrics)
        )
    return text_holdout(
        _cells(next(iter(files.values())).columns["target"]),
        replies,
        extras.get("group"),
        {name: extras[name] for name in slices if name in extras},
    )


def _cells(column: Column) -> list[str]:
    return [column.values[code] for code in column.codes]


def _numbers(column: Column | None) -> Floats | None:
    """[rows] float64, NaN where a row has no number; None where no row has a value."""
    if column is None or not column.values:
        return None
    values = []
    for value in column.values:
        try:
            values.append(float(value))
        except ValueError:
            values.append(np.nan)
    return np.array([*values, np.nan])[column.codes]


def _orders(files: Mapping[str, PredictionFile], own: Sequence[str]) -> dict[str, np.ndarray | None]:
    """For each role where the rows of the first file lie in its own."""
    faults = [f"{file.path.name} ({role}): {fault}" for role, file in files.items() for fault in file.faults]
    first_role, first = next(iter(files.items()))
    orders: dict[str, np.ndarray | None] = {}
    if not faults:
        for role, file in files.items():
            orders[role], unmatched = _order(first, file)
            faults += [f"{file.path.name} ({role}): {fault}" for fault in unmatched]
    if not faults:
        for role, file in files.items():
            faults += _different(first_role, first, role, file, orders[role], own)
    if faults:
        raise DataRefused("The prediction files cannot be compared:", details=faults)
    return orders


def _order(first: PredictionFile, other: PredictionFile) -> tuple[np.ndarray | None, list[str]]:
    """Where each row of `first` lies in `other` (None: same order), and faults."""
    if first.ids == other.ids:
        return None, []
    position = {row_id: row for row, row_id in enumerate(other.ids)}
    order = np.array([position.get(row_id, -1) for row_id in first.ids], dtype=np.int64)
    absent = np.flatnonzero(order < 0).tolist()
    if not absent and len(first.ids) == len(other.ids):  # ids are unique, so none is left over
        return order, []
    known = set(first.ids)
    added = [row for row, row_id in enumerate(other.ids) if row_id not in known]
    faults = []
    if absent:
        faults.append(f"{num_of(len(absent), 'id')} of {first.path.name} missing here ({row_numbers(absent)} there)")
    if added:
        faults.append(f"{num_of(len(added), 'id')} that {first.path.name} does not have ({row_numbers(added)})")
    return None, faults


def _take(column: Column, order: np.ndarray | None) -> Column:
    return column if order is None else Column(column.values, column.codes[order])


def _different(
    first_role: str,
    first: PredictionFile,
    role: str,
    file: PredictionFile,
    order: np.ndarray | None,
    own: Sequence[str],
) -> list[str]:
    """Targets, groups and slices say what the rows are, so files that have them must agree on them."""
    faults = []
    for name in first.columns.keys() & file.columns.keys() - {"prediction", *LIKELIHOOD, *own}:
        mine, theirs = first.columns[name], _take(file.columns[name], order)
        code = {value: index for index, value in enumerate(mine.values)}
        recode = np.array([code.get(value, -2) for value in theirs.values] + [-1], dtype=np.int64)
        rows = np.flatnonzero(mine.codes != recode[theirs.codes])
        if len(rows):
            text = f"{name} differs from that of the {first_role} on {num_of(len(rows), 'row')}"
            faults.append(f"{file.path.name} ({role}): {text} ({row_numbers(rows.tolist())} there)")
    return sorted(faults)


def _extras(
    files: Mapping[str, PredictionFile], orders: Mapping[str, np.ndarray | None], own: Sequence[str]
) -> dict[str, Column]:
    """Optional columns from the first file that has them."""
    found: dict[str, Column] = {}
    for role, file in files.items():
        for name, column in file.columns.items():
            if name not in (*REQUIRED, *LIKELIHOOD, *own) and name not in found:
                found[name] = _take(column, orders[role])
    return found
