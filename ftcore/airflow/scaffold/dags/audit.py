"""The ledger verified every day (an Airflow DAG)."""

from ftcore.airflow import audit

dag = audit()
