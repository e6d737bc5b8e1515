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

# Airflow itself is imported first: what counts is what our files add. CPU seconds, so that a busy machine does not matter.
PROBE = """
import importlib, json, sys, time
import airflow.sdk
from airflow.sdk import DAG, Asset, BaseOperator
airflow_itself = set(sys.modules)
cost = {}
for name in sys.argv[1:]:
    started = time.process_time()
    importlib.import_module(name)
    cost[name] = time.process_time() - started
print(json.dumps({"cost_s": cost, "added": sorted(set(sys.modules) - airflow_itself)}))
"""


def probe(names: list[str], home: Path) -> dict[str, object]:
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
    seen = probe([path.stem for path in DAG_FILES], tmp_path)
    assert not HEAVY & set(seen["added"])
    assert {name: cost for name, cost in seen["cost_s"].items() if cost > 0.3} == {}
