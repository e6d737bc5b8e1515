"""CONTRIBUTING.md shows the floors that import-linter checks."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_floors_in_contributing_are_those_of_pyproject() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    wanted = [layer.replace("ftcore.", "") for layer in contracts[0]["layers"]]
    block = (ROOT / "CONTRIBUTING.md").read_text().split("## The floors")[1].split("```")[1]
    assert [line.split("   ")[0] for line in block.strip().splitlines()] == wanted
