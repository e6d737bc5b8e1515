"""One DAG per spec: from a data version to a promotion, on evidence (Airflow)."""

from pathlib import Path

from ftcore.airflow import finetuning_dags

for dag in finetuning_dags(Path(__file__).parent / "specs"):
    globals()[dag.dag_id] = dag
