"""Measured rows, kept as JSON lines: one per row of the table, the newest measurement of each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.methods.plan import Row
from ftcore.store import write_durable

RESULTS = Path(__file__).with_name("results.jsonl")
Result = Mapping[str, Any]


def read_results(path: Path = RESULTS) -> dict[str, Result]:
    """Row name -> what was measured; empty where there is no file."""
    if not path.is_file():
        return {}
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {item["row"]: item for item in found}


def write_results(results: Mapping[str, Result], order: Sequence[Row], path: Path = RESULTS) -> None:
    """All rows in the order of the plan; those that the plan no longer has are left out."""
    lines = [json.dumps(results[row.name], sort_keys=True) for row in order if row.name in results]
    write_durable(path, "".join(f"{line}\n" for line in lines))


def is_current(row: Row, results: Mapping[str, Result]) -> bool:
    """True if the row was measured with the settings that it has now."""
    return row.name in results and results[row.name]["settings"] == row.digest


def missed(row: Row, result: Result) -> list[str]:
    """Which wanted figures a measured row does not reach."""
    return [
        f"{row.name}: {figure} {result.get(figure, 0):.3f}, wanted at least {least:g}"
        for figure, least in row.wanted.items()
        if not result.get(figure, 0) >= least
    ]
