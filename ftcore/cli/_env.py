"""Environment that every ftcore process starts with: no usage reporting, no surprise downloads, loopback never proxied."""

from __future__ import annotations

import os

_QUIET = {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ALLOW_MODEL_CODE_EXECUTION": "false",
    "TOKENIZERS_PARALLELISM": "false",
    # With other processes on the same cores, threads that spin while they wait make training several times slower.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GIT_PYTHON_REFRESH": "quiet",
}


def quiet_env() -> None:
    """Set what is not set yet; a user's own setting wins."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
