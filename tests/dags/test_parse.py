"""DAG files are wiring: cheap to import, and free of every heavy library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DAG_FILES = sorted((ROOT / "dags").glob("*.py"))
HEAVY = {"torch", "transformers", "peft", "datasets", "mlflow", "great_expectations", "evidently", "pandas", "dvc"}
HEAVY |= {"sklearn", "scipy", "numpy"}

LIGHT = {"airflow", "asgiref", "croniter", "ftcore", "pydantic", "yaml", *(path.stem for path in DAG_FILES)}
"""Packages that the files may load beyond what Airflow has loaded: another one is a cost for every parse, every 30 seconds."""

# Airflow itself is imported first: what counts is what our files add.
PROBE = """
import importlib, json, sys
import airflow.sdk
from airflow.sdk import DAG, Asset, BaseOperator
airflow_itself = set(sys.modules)
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted(set(sys.modules) - airflow_itself)))
"""


def probe(names: list[str], home: Path) -> list[str]:
    """Modules that the files add."""
    env = os.environ | {"AIRFLOW_HOME": str(home), "PYTHONPATH": f"{ROOT / 'dags'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-c", PROBE, *names]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_dag_files_are_cheap_and_light(tmp_path: Path) -> None:
    assert [path.stem for path in DAG_FILES] == [
        "audit",
        "continuous_finetuning",
        "drift_watch",
        "feedback",
        "reconcile",
    ]
    added = probe([path.stem for path in DAG_FILES], tmp_path)
    assert not HEAVY & set(added)
    assert {name.partition(".")[0] for name in added} <= LIGHT
    assert len(added) <= 100
