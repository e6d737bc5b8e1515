"""One DAG per spec: labelled production rows become a data version (Airflow)."""

from pathlib import Path

from ftcore.airflow import feedback
from ftcore.stack.project import good_specs

for path in good_specs(Path(__file__).parent / "specs"):
    dag = feedback(path)
    globals()[dag.dag_id] = dag
