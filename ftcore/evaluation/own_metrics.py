"""A user's own metrics: entry points in the group `ftcore.metrics`, and what they may answer.

    [project.entry-points."ftcore.metrics"]
    politeness = "my_metrics:politeness"

A metric is a function of references and answers (classification: labels) that gives one number per row from 0 to 1, higher is
better, the same each time. Records, floors and the gate know it as `own.politeness`: the mean over rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ftcore.errors import SpecError, first_line, num_of
from ftcore.evaluation.rows import Floats
from ftcore.spec import OWN_METRIC
from ftcore.store import file_sha256

GROUP = "ftcore.metrics"
RowMetric = Callable[[Sequence[str], Sequence[str]], Iterable[float]]
"""Targets and predictions, row by row, to one number per row."""


def load_metrics(names: Sequence[str]) -> dict[str, RowMetric]:
    """The functions behind `evaluation.metrics`, by their full name (`own.…`). They are the user's code, and are run here.

    Raises:
        SpecError: One is not installed, is installed twice, or cannot be loaded; every fault is listed.
    """
    installed = list(entry_points(group=GROUP)) if names else []
    found: dict[str, RowMetric] = {}
    faults = []
    for name in names:
        points = [point for point in installed if point.name == name]
        if len(points) == 1:
            metric = _loaded(points[0])
            if callable(metric):
                found[OWN_METRIC + name] = metric
            else:
                faults.append(f"{name!r}: {metric}")
        else:
            seen = ", ".join(sorted({point.name for point in installed})) or "none"
            faults.append(f"{name!r} is installed {len(points)} times, wanted once; installed metrics: {seen}")
    if faults:
        hint = f'install a package with [project.entry-points."{GROUP}"], as docs/metrics.md shows'
        raise SpecError("evaluation.metrics names what cannot be used:", details=faults, hint=hint)
    return found


def identity(names: Sequence[str]) -> dict[str, list[str]]:
    """By name: version of the package and SHA-256 of the module's file, of each that is installed; nothing is run.

    A change in another module that it imports is not seen.
    """
    found: dict[str, list[str]] = {}
    for point in entry_points(group=GROUP):
        if point.name in names:
            path = _source(point.module)
            found[point.name] = [point.dist.version if point.dist else "", file_sha256(path) if path else ""]
    return found


def _source(module: str) -> Path | None:
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec is not None and spec.origin and Path(spec.origin).is_file() else None


def _loaded(point: EntryPoint) -> RowMetric | str:
    """The function, or what is wrong."""
    try:
        metric = point.load()
    except Exception as error:  # noqa: BLE001 - whatever a user's module raises when it is imported
        return f"{point.value} cannot be loaded ({type(error).__name__}: {first_line(error)})"
    return metric if callable(metric) else f"{point.value} is no function"


def measure_rows(
    metrics: Mapping[str, RowMetric], targets: Sequence[str], predictions: Sequence[str]
) -> dict[str, Floats]:
    """[rows] of each metric.

    Raises:
        SpecError: A metric raises, or does not give one number from 0 to 1 for every row. The message has no row text.
    """
    found = {}
    for name, metric in metrics.items():
        try:
            rows = np.array([float(value) for value in metric(list(targets), list(predictions))], dtype=float)
        except Exception as error:  # noqa: BLE001 - a user's code; its text may quote rows and stays out of the message
            raise SpecError(f"The metric {name} raised {type(error).__name__} on the holdout.") from None
        if len(rows) != len(targets):
            raise SpecError(f"The metric {name} gave {num_of(len(rows), 'number')} for {num_of(len(targets), 'row')}.")
        bad = int((~((rows >= 0) & (rows <= 1))).sum())
        if bad:
            raise SpecError(f"The metric {name} gave no number from 0 to 1 on {num_of(bad, 'row')}.")
        found[name] = rows
    return found
