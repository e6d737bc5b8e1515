"""The level-triggered sweep: what a crash or a lost event left is found and finished (an Airflow DAG)."""

from pathlib import Path

from ftcore.airflow import reconcile

dag = reconcile(Path(__file__).parent.parent)
