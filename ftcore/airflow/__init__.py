"""The only room of ftcore that imports Airflow: operators, assets and the DAGs built from a spec.

Every stage runs as a child process; records travel as small dicts through XCom.
"""

from ftcore.airflow.dags import (
    audit,
    continuous_finetuning,
    drift_watch,
    feedback,
    finetuning_dags,
    reconcile,
)
from ftcore.airflow.names import champion_asset, finetuning_id, retrain_asset

__all__ = [
    "audit", "champion_asset", "continuous_finetuning", "drift_watch", "feedback", "finetuning_dags", "finetuning_id",
    "reconcile", "retrain_asset",
]  # fmt: skip
