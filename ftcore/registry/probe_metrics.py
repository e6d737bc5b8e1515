"""What the probes of an evaluation measured, as metrics of its MLflow run."""

from __future__ import annotations

import json
from pathlib import Path

_FILE = "probes.json"


def probe_metrics(folder: Path) -> dict[str, float]:
    """By name: `ROLE.probe.PROBE.NAME` with its `.ci_low` and `.ci_high`, and `ROLE.probe.PROBE.NAME.minus_OTHER` with the same.

    Args:
        folder: Of the evaluation. Empty where nothing was probed; an interval without an upper end has no `.ci_high`.
    """
    path = folder / _FILE
    if not path.is_file():
        return {}
    metrics: dict[str, float] = {}
    for item in json.loads(path.read_text(encoding="utf-8"))["measures"]:
        what = f"probe.{item['probe']}.{item['name']}"
        found = {f"{role}.{what}": (told["value"], told) for role, told in item["models"].items()}
        found |= {
            f"{told['of']}.{what}.minus_{told['minus']}": (told["difference"], told) for told in item["differences"]
        }
        for name, (value, told) in found.items():
            bounds = {f"{name}.{bound}": told[bound] for bound in ("ci_low", "ci_high")}
            metrics |= {key: float(number) for key, number in {name: value, **bounds}.items() if number is not None}
    return metrics
