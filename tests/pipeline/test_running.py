from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ftcore.errors import UsageError
from ftcore.ledger import open_ledger
from ftcore.pipeline import Step, run_pipeline
from ftcore.spec import load_spec
from ftcore.store import Store


def ingest(project: Path) -> Step:
    spec = load_spec(project / "spec.yaml")
    [step] = run_pipeline(spec, Store(), open_ledger(), last="ingest")
    return step


def test_a_second_run_reuses_and_a_changed_row_runs_again(project: Path) -> None:
    first, second = ingest(project), ingest(project)
    assert (first.reused, second.reused) == (False, True)
    assert first.record == second.record
    (project / "rows" / "train.jsonl").write_text('{"text": "A", "label": "x"}\n')
    third = ingest(project)
    assert not third.reused
    assert any("inputs.data.rev" in line for line in third.why)
    assert third.record.digest != first.record.digest


def test_a_damaged_output_is_made_again(project: Path, home: Path) -> None:
    record = ingest(project).record
    [file] = list((home / "stages" / "ingest").rglob("train.jsonl"))
    file.write_text("damaged")
    again = ingest(project)
    assert not again.reused
    assert again.record == record


def test_unknown_and_empty_ranges_are_usage_errors(project: Path) -> None:
    spec = load_spec(project / "spec.yaml")
    for first, last, message in (("nope", "judge", "No stage"), ("judge", "ingest", "Nothing lies between")):
        with pytest.raises(UsageError, match=message):
            list(run_pipeline(spec, Store(), open_ledger(), first=first, last=last))


def test_starting_late_needs_earlier_outputs(project: Path) -> None:
    spec = load_spec(project / "spec.yaml")
    with pytest.raises(UsageError, match="ingest has no output"):
        list(run_pipeline(spec, Store(), open_ledger(), first="validate", last="validate"))


def test_a_commit_that_changes_no_data_keeps_the_datas_identity(project: Path) -> None:
    """DVC data: a new commit is a new revision but the same rows, so everything after ingest is reused."""

    def run(*command: str) -> None:
        subprocess.run(command, cwd=project, check=True, capture_output=True)

    text = (project / "spec.yaml").read_text().replace("repo: null", "repo: .")
    (project / "spec.yaml").write_text(text)
    run("git", "init", "-q")
    run("git", "config", "user.email", "test@example.org")
    run("git", "config", "user.name", "test")
    run(sys.executable, "-m", "dvc", "init", "-q")
    run(sys.executable, "-m", "dvc", "remote", "add", "-q", "-d", "here", str(project.parent / "remote"))
    run(sys.executable, "-m", "dvc", "add", "-q", "rows")
    run(sys.executable, "-m", "dvc", "push", "-q")
    run("git", "add", "-A")
    run("git", "commit", "-qm", "data")
    first = ingest(project)
    (project / "README.md").write_text("words")
    run("git", "add", "-A")
    run("git", "commit", "-qm", "words only")
    second = ingest(project)
    assert not second.reused, "another commit may hold other data: it is pulled and looked at"
    assert second.record.digest == first.record.digest
