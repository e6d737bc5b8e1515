"""What a user sees when the input is bad: one message that helps, no traceback, nothing half-written, the champion unchanged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ftcore.ledger import Head, open_ledger
from tests.functional.tiny_project import build_project, write_rows
from tests.tiny_bert import make_rows

pytestmark = pytest.mark.functional

Result = subprocess.CompletedProcess[str]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose data is a plain folder and whose base model is tiny."""
    folder = build_project(
        tmp_path / "project",
        "training: {epochs: 1, batch_size: 16, max_length: 16}\n"
        "leakage: {max_leaked: 1.0}\nvalidation: {max_quarantined: 0.9}\n",
    )
    write_rows(folder, "train.jsonl", make_rows(90))
    write_rows(folder, "test.jsonl", make_rows(60, seed=1))
    return folder


def run(project: Path, *options: str, before: tuple[str, ...] = (), **env: str) -> Result:
    command = [*before, sys.executable, "-m", "ftcore", "run", str(project / "spec.yaml"), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, **env})


@pytest.fixture
def champion(home: Path) -> Head:
    """A model is in production; bad input must leave it there."""
    with open_ledger() as ledger:
        fence = ledger.issue_fence("tiny")
        promotion = ledger.prepare(
            spec="tiny", model_digest="c" * 64, verdict_digest="v", expected_digest=None, expected_seq=0,
            package_uri="packages/c", fence=fence, actor="test", reason="test",
        )  # fmt: skip
        ledger.commit(promotion.promotion_id, fence)
    return head()


def head() -> Head:
    with open_ledger() as ledger:
        found = ledger.head("tiny")
    assert found is not None
    return found


def break_line(text: str) -> Callable[[Path], None]:
    def breaking(project: Path) -> None:
        path = project / "rows" / "train.jsonl"
        path.write_text(path.read_text() + text + "\n")

    return breaking


def remove_file(project: Path) -> None:
    (project / "rows" / "train.jsonl").unlink()


def empty_file(project: Path) -> None:
    (project / "rows" / "test.jsonl").write_text("")


def wrong_column(project: Path) -> None:
    for path in (project / "rows").iterdir():
        path.write_text(path.read_text().replace('"label"', '"category"'))


def unknown_label(project: Path) -> None:
    path = project / "rows" / "test.jsonl"
    path.write_text(path.read_text().replace('"label": "refund"', '"label": "teleport"'))


def long_line(project: Path) -> None:
    with (project / "rows" / "train.jsonl").open("r+b") as file:
        file.truncate(1 << 30)  # sparse: 1 GB without a line break costs no disk


def test_the_undamaged_project_is_accepted(project: Path) -> None:
    result = run(project, "--to", "prepare")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("damage", "code", "seen"),
    [
        (remove_file, 2, "train.jsonl"),
        (empty_file, 3, "test"),
        (wrong_column, 3, "category"),
        (unknown_label, 3, "teleport"),
        (break_line('{"text": "a\x00b", "label": "card"}'), 3, "NUL"),
        (break_line("{not json"), 3, "train.jsonl"),
        (long_line, 3, "train.jsonl"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_bad_data_is_refused_with_a_message(
    project: Path, home: Path, champion: Head, damage: Callable[[Path], None], code: int, seen: str
) -> None:
    damage(project)
    result = run(project)
    text = result.stdout + result.stderr
    assert result.returncode == code, text
    assert seen in text
    assert "Traceback" not in text
    assert head() == champion
    assert not any((home / "tmp").glob("*")), "a half-written output was left behind"


def test_unreachable_remote(project: Path, champion: Head, tmp_path: Path) -> None:
    def call(*command: str) -> None:
        subprocess.run(command, cwd=project, check=True, capture_output=True)

    call("git", "init", "-q")
    call(sys.executable, "-m", "dvc", "init", "-q")
    call(sys.executable, "-m", "dvc", "remote", "add", "-q", "-d", "far", str(tmp_path / "gone"))
    call(sys.executable, "-m", "dvc", "add", "-q", "rows")
    call("git", "add", "-A")
    call("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "data")
    subprocess.run(["rm", "-rf", str(project / ".dvc" / "cache")], check=True)
    result = run(project, "--set", "data.repo=.")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "dvc push" in result.stderr or "dvc remote" in result.stderr, result.stderr
    assert head() == champion


@pytest.mark.parametrize("stage", ["ingest", "later"])
def test_a_full_disk(project: Path, home: Path, champion: Head, tmp_path: Path, stage: str) -> None:
    """State on a file system of 1 MB of its own, mounted for this test alone."""
    if stage == "ingest":
        (project / "rows" / "more.bin").write_bytes(bytes(2 << 20))
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount in a namespace of their own")
    small = tmp_path / "small"
    small.mkdir()
    script = 'mount -t tmpfs -o size=1m tmpfs "$0" && "$@"; code=$?; echo left: $(ls "$0/tmp"); exit $code'
    before = ("unshare", "-rm", "sh", "-c", script, str(small))
    result = run(project, before=before, FTCORE_HOME=str(small), FTCORE_LEDGER_URL=f"sqlite:///{home / 'ledger.db'}")
    assert result.returncode == 1, result.stdout + result.stderr
    assert "disk is full" in result.stderr and "Traceback" not in result.stderr
    assert result.stdout.splitlines()[-1] == "left:"
    assert head() == champion


def test_mlflow_down_keeps_the_work_and_says_so(project: Path, champion: Head) -> None:
    address = "http://127.0.0.1:9"  # the discard port: nobody listens
    result = run(project, "--to", "train", MLFLOW_TRACKING_URI=address)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert address in result.stderr
    assert head() == champion
    again = run(project, "--to", "train", "--json")
    assert again.returncode == 0, again.stderr
    steps = {step["stage"]: step["reused"] for step in json.loads(again.stdout)["steps"]}
    assert steps == {"ingest": True, "validate": True, "prepare": True, "train": True}
