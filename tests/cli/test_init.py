from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ftcore.stack.project import find_project, spec_files

ROOT = Path(__file__).parents[2]


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    me = {
        "GIT_AUTHOR_NAME": "t",
        "GIT_AUTHOR_EMAIL": "t@localhost",
        "GIT_COMMITTER_NAME": "t",
        "GIT_COMMITTER_EMAIL": "t@localhost",
    }
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=240, env=os.environ | me)


def ftcore(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-m", "ftcore", *args, cwd=cwd)


def test_a_scaffold_can_be_used_as_its_readme_says(tmp_path: Path) -> None:
    made = ftcore("init", "my-intents", "--json", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    project = tmp_path / "my-intents"
    assert "dags/specs/my_intents.yaml" in json.loads(made.stdout)["files"]
    assert ftcore("spec", "check", "dags/specs/my_intents.yaml", cwd=project).returncode == 0
    rows = [{"text": f"message {n}", "label": "ab"[n % 2]} for n in range(400)]
    (project / "data" / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for command in (
        [sys.executable, "-m", "dvc", "add", "-q", "data"],
        ["git", "add", "data.dvc", ".gitignore"],
        ["git", "commit", "-qm", "First data version"],
        [sys.executable, "-m", "dvc", "push", "-q"],
    ):
        done = run(*command, cwd=project)
        assert done.returncode == 0, done.stderr
    validated = ftcore("validate", "dags/specs/my_intents.yaml", "--json", cwd=project)
    assert validated.returncode == 0, validated.stderr + validated.stdout
    answer = json.loads(validated.stdout)
    assert answer["verdict"] == "ok"
    assert Path(answer["docs"]).is_file()


def test_nothing_is_overwritten_and_nothing_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x")
    refused = ftcore("init", "full", cwd=tmp_path)
    assert refused.returncode == 2
    assert "wanted an empty or new folder" in refused.stderr
    unpinned = ftcore("init", "hub", "--base-model", "org/model", cwd=tmp_path)
    assert unpinned.returncode == 2
    assert "revision" in unpinned.stderr
    assert ftcore("init", "9lives", cwd=tmp_path).returncode == 2
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "home") == ["full"]
    pinned = ftcore("init", "hub", "--base-model", "org/model", "--revision", "a" * 40, cwd=tmp_path)
    assert pinned.returncode == 0, pinned.stderr


def test_airflow_finds_in_a_scaffold_what_it_finds_here(tmp_path: Path) -> None:
    assert ftcore("init", "mine", cwd=tmp_path).returncode == 0
    project = tmp_path / "mine"
    assert find_project(project / "data") == project
    assert [path.name for path in spec_files(project)] == ["mine.yaml"]
    for folder in ("dags", "plugins"):
        ours = {path.name: path.read_bytes() for path in (ROOT / folder).glob("*.py")}
        theirs = {path.name: path.read_bytes() for path in (project / folder).glob("*.py")}
        assert theirs == ours, f"cp {folder}/*.py ftcore/airflow/scaffold/{folder}/"


@pytest.mark.functional
def test_the_readmes_own_model_comes_into_production(tmp_path: Path) -> None:
    """The commands as they stand there, but for a base model that trains in seconds; `up` has tests of its own."""
    from tests.tiny_bert import LABELS, build_tiny_bert

    build_tiny_bert(tmp_path / "base")
    rows = [{"text": f"{LABELS[n % 3]} please {n}", "label": LABELS[n % 3]} for n in range(1500)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    section = (ROOT / "README.md").read_text().split("## Your own model")[1]
    first, *commands, last = section.split("```sh\n")[1].split("```")[0].splitlines()
    assert first.startswith(". .venv/bin/activate") and last.startswith("ftcore up"), "these two the test leaves out"
    settings = "--set training.epochs=2 --set training.learning_rate=0.004 --set evaluation.baselines=[majority]"
    changes = {
        "init my-project": f"init my-project --base-model {tmp_path / 'base'}",
        "/path/to": str(tmp_path),
        "ftcore run": f"ftcore run {settings}",
    }
    script = "\n".join(commands)
    for before, after in changes.items():
        assert before in script
        script = script.replace(before, after)
    bin_folder = Path(sys.executable).parent
    done = run("bash", "-ec", f"PATH={bin_folder}:$PATH\n{script}", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    *_, promoted = done.stdout.strip().splitlines()
    assert "champion is" in promoted
    assert done.stdout.count("reused") == 6, "all but promote, the second time"
