from __future__ import annotations

import json
from pathlib import Path

import pytest

EXPECTED = {"type": "expect_column_to_exist", "kwargs": {"column": "text"}, "meta": {"notes": "why"}}
SUITE = json.dumps({"name": "s", "expectations": [EXPECTED]})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a plain data folder."""
    folder = tmp_path / "project"
    (folder / "expectations").mkdir(parents=True)
    (folder / "expectations" / "classification.json").write_text(SUITE)
    (folder / "rows").mkdir()
    (folder / "rows" / "train.jsonl").write_text('{"text": "a", "label": "x"}\n')
    (folder / "rows" / "test.jsonl").write_text('{"text": "b", "label": "x"}\n')
    (folder / "spec.yaml").write_text(
        "name: tiny\nbase_model: {name: ./nowhere}\n"
        "data: {repo: null, path: rows, files: {train: train.jsonl, test: test.jsonl}}\n"
    )
    return folder
