"""What the stack's processes see: Airflow, MLflow and ftcore set up through environment variables only."""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from ftcore.stack.ports import LOOPBACK
from ftcore.store import write_durable

ADMIN = "admin"
_DATABASE_TIMEOUT_S = 15
"""How long one of Airflow's processes waits for another's write; SQLite's 5 s are too few beside a training."""


def private_file(path: Path, content: str) -> None:
    """Write a file that only this user can read, never open for a moment to others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = os.umask(0o077)
    try:
        write_durable(path, content)
    finally:
        os.umask(before)


def stack_secrets(home: Path) -> dict[str, str]:
    """Keys of this stack and Airflow's admin password, made once and kept in `run/` with mode 0600."""
    path = home / "run" / "secrets.json"
    if not path.exists():
        made = {
            "fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "jwt_secret": secrets.token_urlsafe(64),
            "secret_key": secrets.token_urlsafe(32),
            "password": secrets.token_urlsafe(12),
        }
        private_file(path, json.dumps(made))
    values: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    if not password_file(home).exists():
        private_file(password_file(home), json.dumps({ADMIN: values["password"]}))
    return values


def password_file(home: Path) -> Path:
    return home / "run" / "airflow_passwords.json"


def ftcore_environment(home: Path, ports: Mapping[str, int]) -> dict[str, str]:
    """For every process: this environment, the stack's addresses, and no proxy for loopback."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW__", "AIRFLOW_"))}
    direct = ",".join(filter(None, [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), LOOPBACK, "localhost"]))
    return env | {
        "FTCORE_HOME": str(home),
        "FTCORE_AIRFLOW_URL": f"http://{LOOPBACK}:{ports['airflow']}",
        "MLFLOW_TRACKING_URI": f"http://{LOOPBACK}:{ports['mlflow']}",
        "NO_PROXY": direct,
        "no_proxy": direct,
        "PYTHONUNBUFFERED": "1",
    }


def airflow_environment(home: Path, project: Path, ports: Mapping[str, int]) -> dict[str, str]:
    """For Airflow's processes. Intervals are short because one machine has nothing else to wait for."""
    keys = stack_secrets(home)
    url = f"http://{LOOPBACK}:{ports['airflow']}"
    database = home / "airflow" / "airflow.db"
    settings = {
        "CORE__DAGS_FOLDER": project / "dags",
        "CORE__PLUGINS_FOLDER": project / "plugins",
        "CORE__LOAD_EXAMPLES": False,
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": 4,
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": False,
        "CORE__FERNET_KEY": keys["fernet_key"],
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": password_file(home),
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        # The default asks DNS for this machine's full name, which can hang where there is none.
        "CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{database}?timeout={_DATABASE_TIMEOUT_S}",
        "API__HOST": LOOPBACK,
        "API__PORT": ports["airflow"],
        "API__BASE_URL": url,
        "API__WORKERS": 1,
        "API__SECRET_KEY": keys["secret_key"],
        "API_AUTH__JWT_SECRET": keys["jwt_secret"],
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": 0.5,
        # A training uses every core: the API server may answer late, and that must not fail a healthy task.
        "WORKERS__EXECUTION_API_TIMEOUT": 30,
        "WORKERS__EXECUTION_API_RETRIES": 10,
        "WORKERS__MAX_FAILED_HEARTBEATS": 20,
        "DAG_PROCESSOR__PARSING_PROCESSES": 1,
        "DAG_PROCESSOR__REFRESH_INTERVAL": 30,
        "LOGGING__BASE_LOG_FOLDER": home / "logs" / "airflow",
        "LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": home / "logs" / "airflow" / "dag_processor",
        "LOGGING__COLORED_CONSOLE_LOG": False,
    }
    plain = {f"AIRFLOW__{name}": str(value) for name, value in settings.items()}
    return ftcore_environment(home, ports) | plain | {"AIRFLOW_HOME": str(home / "airflow")}
