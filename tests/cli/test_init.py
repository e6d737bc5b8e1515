from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    me = {
        "GIT_AUTHOR_NAME": "t",
        "GIT_AUTHOR_EMAIL": "t@localhost",
        "GIT_COMMITTER_NAME": "t",
        "GIT_COMMITTER_EMAIL": "t@localhost",
    }
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, env=os.environ | me)


def ftcore(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-m", "ftcore", *args, cwd=cwd)


def test_a_scaffold_can_be_used_as_its_readme_says(tmp_path: Path) -> None:
    made = ftcore("init", "my-intents", "--json", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    project = tmp_path / "my-intents"
    assert "specs/my_intents.yaml" in json.loads(made.stdout)["files"]
    assert ftcore("spec", "check", "specs/my_intents.yaml", cwd=project).returncode == 0
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
    validated = ftcore("validate", "specs/my_intents.yaml", "--json", cwd=project)
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
