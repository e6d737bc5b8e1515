"""A project in miniature: a plain folder of rows, a tiny base model, a suite of one expectation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tests.tiny_bert import build_tiny_bert

SUITE = {
    "name": "small",
    "expectations": [
        {
            "type": "expect_column_values_to_not_be_null",
            "kwargs": {"column": "label"},
            "meta": {"notes": "A row without a label teaches nothing."},
        }
    ],
}


def build_project(folder: Path, settings: str) -> Path:
    """Write everything but the rows; `settings` are the spec's sections besides base model and data."""
    (folder / "rows").mkdir(parents=True)
    (folder / "expectations").mkdir()
    build_tiny_bert(folder / "base")
    (folder / "expectations" / "classification.json").write_text(json.dumps(SUITE))
    (folder / "spec.yaml").write_text(
        f"name: tiny\nbase_model: {{name: {folder / 'base'}}}\n"
        "data: {repo: null, path: rows, files: {train: train.jsonl, test: test.jsonl}}\n" + settings
    )
    return folder


def write_rows(project: Path, name: str, rows: Sequence[dict[str, str]]) -> None:
    """One split; ids are made unlike those of other splits."""
    lines = [json.dumps({**row, "id": f"{name}-{number}"}) for number, row in enumerate(rows)]
    (project / "rows" / name).write_text("\n".join(lines) + "\n")
