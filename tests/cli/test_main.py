from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ftcore.cli import VERBS

HEAVY = {
    "airflow",
    "alembic",
    "datasets",
    "dvc",
    "evidently",
    "great_expectations",
    "mlflow",
    "numpy",
    "pandas",
    "peft",
}
HEAVY |= {"scipy", "sklearn", "sqlalchemy", "torch", "transformers"}


def ftcore(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ftcore", *args], capture_output=True, text=True, timeout=60)


def test_help_lists_every_verb_without_heavy_imports() -> None:
    code = (
        "import sys; sys.argv=['ftcore','--help']\n"
        "from ftcore.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"heavy={HEAVY} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert all(verb in result.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str) -> None:
    result = ftcore(verb, "--help")
    assert result.returncode == 0, result.stderr
    assert "Usage:" in result.stdout


def test_a_users_mistake_gives_a_message_not_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("name: Bad\n")
    result = ftcore("spec", "check", str(tmp_path / "bad.yaml"))
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "2 faults" in result.stderr


def test_unknown_verbs_exit_2() -> None:
    assert ftcore("bogus").returncode == 2
