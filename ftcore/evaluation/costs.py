"""What a model costs on the holdout: the size of its files, time per row, tokens read and written per row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ftcore.evaluation.outputs import SIZES, TABLES
from ftcore.evaluation.rows import Ints, group_sums
from ftcore.evaluation.statistics.intervals import delta_interval

SHOWN = (
    ("size_mb", "size, MB"),
    ("p50_ms", "ms per row, median"),
    ("p95_ms", "ms per row, 95th percentile"),
    ("tokens_read", "tokens read per row"),
    ("tokens_written", "tokens written per row"),
)
"""Fields of a cost, and what people read."""


@dataclass(frozen=True)
class Tokens:
    """Mean per row, with its 95 % interval."""

    value: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True)
class Cost:
    """Of one model. None: not measured."""

    size_mb: float | None = None
    """Its files, in millions of bytes."""
    p50_ms: float | None = None
    p95_ms: float | None = None
    """Median and 95th percentile over rows, in the machine and batch size of the evaluation."""
    tokens_read: Tokens | None = None
    tokens_written: Tokens | None = None


def measured_cost(
    seconds: np.ndarray, tokens_read: np.ndarray, tokens_written: np.ndarray | None, groups: Ints | None
) -> dict[str, Any]:
    """For tables.json: times and tokens per row.

    Args:
        seconds: [rows] the time of the row's batch over the rows in it: less than a request that comes alone takes.
        tokens_written: [rows]; None: the model writes none.
    """
    p50, p95 = (1000 * float(value) for value in np.percentile(seconds, (50, 95)))
    counts = {"tokens_read": tokens_read} | ({} if tokens_written is None else {"tokens_written": tokens_written})
    return {"p50_ms": p50, "p95_ms": p95} | {name: _mean(found, groups) for name, found in counts.items()}


def _mean(counts: np.ndarray, groups: Ints | None) -> dict[str, float]:
    value = float(counts.mean())
    low, high = value, value
    if value > 0:
        sums = group_sums(counts - value, groups)
        low, high = delta_interval(value, sums, len(counts), "log", float(len(sums)))
    return {"value": value, "ci_low": low, "ci_high": high}


def read_costs(folder: Path) -> dict[str, Cost]:
    """By role, of the models that `evaluate` scored into `folder`: baselines that are no models have none."""
    sizes, tables = (read_json(folder / name) for name in (SIZES, TABLES))
    measured = {role: told["cost"] for role, told in tables.get("models", {}).items() if "cost" in told}
    return {role: _cost(sizes.get(role), measured.get(role, {})) for role in dict.fromkeys([*sizes, *measured])}


def _cost(size_mb: float | None, told: Mapping[str, Any]) -> Cost:
    tokens = {name: Tokens(**told[name]) for name in ("tokens_read", "tokens_written") if name in told}
    return Cost(size_mb, told.get("p50_ms"), told.get("p95_ms"), **tokens)


def read_json(path: Path) -> dict[str, Any]:
    """What a file of an evaluation says; empty where there is none."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def shown(value: float | Mapping[str, float] | None) -> str:
    """One field of a cost, as plain data, for people."""
    if value is None:
        return "–"
    if isinstance(value, Mapping):
        return f"{value['value']:,.1f} ({value['ci_low']:,.1f} to {value['ci_high']:,.1f})"
    return f"{value:,.3g}"
