"""One DAG per spec: judge production against the champion's reference, and ask for retraining (Airflow)."""

from pathlib import Path

from ftcore.airflow import drift_watch
from ftcore.stack.project import good_specs

for path in good_specs(Path(__file__).parent / "specs"):
    dag = drift_watch(path)
    globals()[dag.dag_id] = dag
