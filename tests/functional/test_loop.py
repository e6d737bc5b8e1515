"""The pipeline around twice, without Airflow: promote, reuse, a touched row, new rows with a new class from the champion on."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftcore.ledger import open_ledger
from ftcore.pipeline import Step, run_pipeline
from ftcore.records import Promotion, TrainingRun
from ftcore.registry.promotion import rollback
from ftcore.spec import load_spec
from ftcore.store import Store
from tests.functional.tiny_project import build_project, write_rows
from tests.tiny_bert import make_rows

pytestmark = pytest.mark.functional


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = build_project(
        tmp_path / "project",
        "method: {start_from: champion}\n"
        "training: {epochs: 4, epochs_from_champion: 3, batch_size: 8, max_length: 16, learning_rate: 4.0e-3}\n"
        "leakage: {max_leaked: 1.0, rules: [exact, normalised]}\n"
        "validation: {max_quarantined: 0.9}\nprepare: {deduplicate: false}\n"
        "gate: {min_rows: 30, min_over_baseline: 0.0, margin: 0.2}\n"
        "compute: {device: cpu, precision: fp32, threads: 2}\n",
    )
    write_rows(folder, "train.jsonl", make_rows(240))
    write_rows(folder, "test.jsonl", make_rows(90, seed=1))
    return folder


def once(project: Path) -> dict[str, Step]:
    with open_ledger() as ledger:
        return {step.stage: step for step in run_pipeline(load_spec(project / "spec.yaml"), Store(), ledger)}


def with_new_class(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """A third of the rows are about something new."""
    return [
        {**row, "text": f"late late {row['text']}", "label": "delay"} if number % 3 == 0 else row
        for number, row in enumerate(rows)
    ]


def test_twice_around(project: Path) -> None:
    first = once(project)
    promotion, training = first["promote"].record, first["train"].record
    assert isinstance(promotion, Promotion) and isinstance(training, TrainingRun)
    assert (promotion.refused, promotion.state, promotion.model_digest) == ((), "APPLIED", training.model_digest)
    assert training.started_from is None

    again = once(project)
    assert [name for name, step in again.items() if not step.reused] == ["promote"]
    assert again["promote"].record == promotion

    write_rows(project, "train.jsonl", with_new_class(make_rows(240)))
    write_rows(project, "test.jsonl", with_new_class(make_rows(90, seed=1)))
    second = once(project)
    assert not any(step.reused for step in second.values())
    gone_on = second["train"].record
    assert isinstance(gone_on, TrainingRun)
    assert (gone_on.started_from, gone_on.num_epochs) == (training.model_digest, 3.0)
    assert second["promote"].record.refused == ()
    with open_ledger() as ledger:
        head = ledger.head("tiny")
        assert head is not None and head.model_digest == gone_on.model_digest

    last = once(project)
    assert [name for name, step in last.items() if not step.reused] == ["promote"], "its start is the same as before"

    with open_ledger() as ledger:
        rollback("tiny", ledger, Store(), actor="ada", reason="customers complain")
    withdrawn = once(project)
    assert withdrawn["train"].reused and "promote" not in withdrawn
    assert "rolled back by ada" in withdrawn["judge"].record.refused[0]
    with open_ledger() as ledger:
        head = ledger.head("tiny")
        assert head is not None and head.model_digest == training.model_digest


def test_a_touched_row_runs_what_depends_on_it_and_nothing_else(project: Path) -> None:
    once(project)
    rows = make_rows(90, seed=1)
    # A row of both splits leaves train, so touching that one would train anew.
    taught = {row["text"] for row in make_rows(240)}
    at = next(number for number, row in enumerate(rows) if row["text"] not in taught)
    rows[at] |= {"text": rows[at]["text"] + " please please please"}
    write_rows(project, "test.jsonl", rows)
    steps = once(project)
    assert [name for name, step in steps.items() if step.reused] == ["train"], "it is a row of the holdout"
    assert any("inputs" in line for line in steps["evaluate"].why)
