"""What the files of an evaluation say beside its record, as metrics of its MLflow run: probes, and what models cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def probe_metrics(folder: Path) -> dict[str, float]:
    """By name: `ROLE.probe.PROBE.NAME` with its `.ci_low` and `.ci_high`, and `ROLE.probe.PROBE.NAME.minus_OTHER` with the same.

    Args:
        folder: Of the evaluation. Empty where nothing was probed; an interval without an upper end has no `.ci_high`.
    """
    metrics: dict[str, float] = {}
    for item in _read_json(folder / "probes.json").get("measures", ()):
        what = f"probe.{item['probe']}.{item['name']}"
        found = {f"{role}.{what}": (told["value"], told) for role, told in item["models"].items()}
        found |= {
            f"{told['of']}.{what}.minus_{told['minus']}": (told["difference"], told) for told in item["differences"]
        }
        for name, (value, told) in found.items():
            bounds = {f"{name}.{bound}": told[bound] for bound in ("ci_low", "ci_high")}
            metrics |= {key: float(number) for key, number in {name: value, **bounds}.items() if number is not None}
    return metrics


def cost_metrics(folder: Path) -> dict[str, float]:
    """By name: `ROLE.cost.size_mb`, `.p50_ms`, `.p95_ms`, and tokens per row as `.tokens_read` with `.ci_low` and `.ci_high`.

    Args:
        folder: Of the evaluation. Empty where nothing was measured.
    """
    metrics = {f"{role}.cost.size_mb": float(size) for role, size in _read_json(folder / "sizes.json").items()}
    for role, table in _read_json(folder / "tables.json").get("models", {}).items():
        for name, value in table.get("cost", {}).items():
            parts = value if isinstance(value, dict) else {"value": value}
            metrics |= {
                f"{role}.cost.{name}" + ("" if part == "value" else f".{part}"): float(number)
                for part, number in parts.items()
            }
    return metrics


def _read_json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found
