"""What operators read of the run that they are part of."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from airflow.sdk import conf
from airflow.sdk.exceptions import AirflowSkipException

Context = Mapping[str, Any]


def run_of(context: Context) -> dict[str, str]:
    """Where to find this run."""
    dag_run = context["dag_run"]
    url = f"{base_url()}/dags/{dag_run.dag_id}/runs/{dag_run.run_id}"
    return {"dag_id": dag_run.dag_id, "run_id": dag_run.run_id, "url": url}


def base_url() -> str:
    """Of Airflow's pages, without a slash at the end; empty: not known."""
    base: str = os.environ.get("FTCORE_AIRFLOW_URL") or conf.get("api", "base_url", fallback="")
    return base.rstrip("/")


def starter_of(context: Context) -> str:
    """Who started the run: a user of Airflow, or `airflow/DAG` for what comes by schedule or asset."""
    dag_run = context["dag_run"]
    return dag_run.triggering_user_name or f"airflow/{dag_run.dag_id}"


def pull(context: Context, task_id: str, key: str = "return_value") -> Any:
    """What a task of this run has left; None: nothing."""
    return context["ti"].xcom_pull(task_ids=task_id, key=key)


def skip_unless_passed(verdict: Mapping[str, Any]) -> None:
    """Raises:
    AirflowSkipException: The verdict is another one than PASS.
    """
    if verdict["outcome"] != "PASS":
        raise AirflowSkipException(f"{verdict['outcome']}: {'; '.join(verdict['reasons'])}. The champion stays.")
