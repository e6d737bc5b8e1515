"""What other DAGs hook on to: assets and DAG ids, by the spec's name."""

from __future__ import annotations

from airflow.sdk import Asset


def retrain_asset(spec_name: str) -> Asset:
    """Event: a retrain request of this spec is open and its data is ready."""
    return Asset(name=f"ftcore_retrain__{spec_name}", uri=f"ftcore://{spec_name}/retrain", group="ftcore")


def champion_asset(spec_name: str) -> Asset:
    """Event: this spec has a new champion. For DAGs of the user's own."""
    return Asset(name=f"ftcore_champion__{spec_name}", uri=f"ftcore://{spec_name}/champion", group="ftcore")


def finetuning_id(spec_name: str) -> str:
    return f"continuous_finetuning__{spec_name}"
