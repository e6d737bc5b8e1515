"""The level-triggered sweep: what a crash or a lost event left is found and finished (an Airflow DAG)."""

from pathlib import Path

from ftcore.airflow import reconcile
from ftcore.stack.project import good_specs

dag = reconcile(good_specs(Path(__file__).parent / "specs"))
