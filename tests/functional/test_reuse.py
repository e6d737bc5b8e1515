"""A holdout that holds rows of an earlier training is refused, though today's splits have no row in common."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftcore.errors import DataRefused
from ftcore.ledger import open_ledger
from ftcore.pipeline import Step, run_pipeline
from ftcore.spec import load_spec
from ftcore.store import Store
from tests.functional.tiny_project import build_project, write_rows
from tests.tiny_bert import make_rows

pytestmark = pytest.mark.functional
SETTINGS = (
    "training: {epochs: 1, batch_size: 16, max_length: 16}\n"
    "leakage: {rules: [exact, reused], max_leaked: 0.2}\nprepare: {deduplicate: false}\n"
    "compute: {device: cpu, precision: fp32, threads: 2}\n"
)


def to_train(project: Path) -> list[Step]:
    with open_ledger() as ledger:
        return list(run_pipeline(load_spec(project / "spec.yaml"), Store(), ledger, last="train"))


def test_swapped_files_do_not_pass(tmp_path: Path) -> None:
    project = build_project(tmp_path / "project", SETTINGS)
    rows = [{**row, "text": f"{row['text']} {number}"} for number, row in enumerate(make_rows(160))]
    write_rows(project, "train.jsonl", rows[:100])
    write_rows(project, "test.jsonl", rows[100:])
    assert to_train(project)[-1].stage == "train"
    assert to_train(project)[-1].reused, "the rows of this very training are no news"

    write_rows(project, "train.jsonl", rows[20:120])
    write_rows(project, "test.jsonl", [*rows[:4], *rows[120:]])
    why = to_train(project)[-1].why
    assert any("4 of 44 holdout rows (9.09%) were trained on" in line for line in why), "within the budget it is told"

    write_rows(project, "train.jsonl", rows[100:])
    write_rows(project, "test.jsonl", rows[:60])
    with pytest.raises(DataRefused, match="holdout rows .* were trained on by earlier trainings"):
        to_train(project)
