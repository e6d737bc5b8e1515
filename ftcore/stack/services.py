"""The services of the stack: how each is started and how it says that it is ready."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ftcore.stack.environment import airflow_environment, ftcore_environment
from ftcore.stack.ports import LOOPBACK

DEFAULT_PORTS = {"airflow": 8080, "mlflow": 5000, "server": 8008}
GPU_POOL = "gpu"

# Loopback only: a proxy set for the outside world must not see these calls.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Service:
    """One process of the stack."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    ready: Callable[[datetime], bool]
    """True once it answers; the argument is the moment it was started (older heartbeats are of an earlier life)."""


def services(home: Path, project: Path, ports: Mapping[str, int]) -> list[Service]:
    """All services in the order they are started: the slowest to come up first."""
    url = {name: f"http://{LOOPBACK}:{port}" for name, port in ports.items()}
    # MLflow's job runner (for scorers we do not use) would start seven more Python processes, 700 MiB.
    tracking = ftcore_environment(home, ports) | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    plain, airflow = ftcore_environment(home, ports), airflow_environment(home, project, ports)
    health = f"{url['airflow']}/api/v2/monitor/health"

    def component(name: str, *options: str) -> Service:
        job = name.replace("-", "_")
        command = (sys.executable, "-m", "airflow", name, *options)
        return Service(name, command, airflow, lambda since: _beats(health, job, since))

    return [
        Service(
            "mlflow",
            _mlflow_command(home, ports["mlflow"]),
            tracking,
            lambda since: _answers(f"{url['mlflow']}/health"),
        ),
        Service(
            "server",
            (sys.executable, "-m", "ftcore", "serve", "--all", "--host", LOOPBACK, "--port", str(ports["server"])),
            plain,
            lambda since: _answers(f"{url['server']}/live"),
        ),
        Service("api-server", (sys.executable, "-m", "airflow", "api-server"), airflow, lambda since: _answers(health)),
        # Task logs are read from disk by the API server, so no process needs to serve them.
        component("scheduler", "--skip-serve-logs"),
        component("dag-processor"),
        component("triggerer", "--skip-serve-logs"),
    ]


def _mlflow_command(home: Path, port: int) -> tuple[str, ...]:
    database = home / "mlflow" / "mlflow.db"
    hosts = f"{LOOPBACK}:{port},localhost:{port}"
    return (
        sys.executable, "-m", "mlflow", "server", "--host", LOOPBACK, "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{database}", "--artifacts-destination", str(home / "mlflow" / "artifacts"),
        "--allowed-hosts", hosts, "--cors-allowed-origins", f"http://{LOOPBACK}:{port},http://localhost:{port}",
    )  # fmt: skip


def get_json(url: str, timeout_s: float = 3.0) -> Any:
    """JSON answer of a loopback address, the bare text if it is none, or None when nobody answers well."""
    try:
        with _direct.open(url, timeout=timeout_s) as answer:
            body = answer.read().decode()
    except (OSError, urllib.error.HTTPError, ValueError):
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body


def _answers(url: str) -> bool:
    return get_json(url) is not None


def _beats(url: str, job: str, since: datetime) -> bool:
    """True when Airflow's health page reports the component healthy with a heartbeat newer than `since`."""
    state = (get_json(url) or {}).get(job) or {}
    beat = state.get(f"latest_{job}_heartbeat")
    return state.get("status") == "healthy" and beat is not None and datetime.fromisoformat(beat) >= since
