"""The compose file: valid, least privilege, no secret in it, and only settings that Airflow knows."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

DOCKER = Path(__file__).parents[2] / "docker"
COMPOSE_FILE = DOCKER / "compose.yaml"
TEXT = COMPOSE_FILE.read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ENV_EXAMPLE = (DOCKER / "env.example").read_text(encoding="utf-8")

# The Celery provider (3.26) brings these sections; it is not in the development environment.
CELERY_OPTIONS = {
    "celery": {"broker_url", "result_backend", "worker_concurrency"},
    "celery_broker_transport_options": {"visibility_timeout"},
}
SECRET_NAME = re.compile(
    r"PASSWORD|SECRET|FERNET|ACCESS_KEY|REDISCLI_AUTH|BROKER_URL|_CONN$|RESULT_BACKEND|LEDGER_URL|STORE_URI"
)
REQUIRED = re.compile(r"\$\{([A-Z0-9_]+):\?[^}]+\}")


def _settings() -> Iterator[tuple[str, str, str]]:
    """(service, name, value) of every environment variable."""
    for service, body in SERVICES.items():
        for name, value in body.get("environment", {}).items():
            yield service, name, value


def _own(service: str) -> bool:
    """Runs ftcore's image."""
    return "FTCORE" in SERVICES[service]["image"]


def test_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE_FILE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_least_privilege(service: str) -> None:
    body = SERVICES[service]
    user, _, _ = str(body.get("user", "0")).partition(":")
    assert user.isdigit() and int(user) > 0, "runs as root"
    assert body["read_only"] is True
    assert body["cap_drop"] == ["ALL"] and "cap_add" not in body
    assert body["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in body and "/var/run/docker.sock" not in str(body)


@pytest.mark.parametrize("service", SERVICES)
def test_images_are_pinned_and_ports_stay_on_loopback(service: str) -> None:
    image = SERVICES[service]["image"]
    assert re.search(r":[v]?\d[\w.-]*\}?$", image), f"{image} has no version"
    assert all(str(port).startswith("127.0.0.1:") for port in SERVICES[service].get("ports", []))


@pytest.mark.parametrize("service", SERVICES)
def test_long_running_services_are_watched_and_restarted(service: str) -> None:
    body = SERVICES[service]
    if body["restart"] == "no":  # runs once: others wait for its success
        assert body["healthcheck"] == {"disable": True}
        waiting = [
            other["depends_on"].get(service, {}).get("condition")
            for other in SERVICES.values()
            if "depends_on" in other
        ]
        assert "service_completed_successfully" in waiting
    else:
        assert body["restart"] == "unless-stopped" and "test" in body["healthcheck"]


@pytest.mark.parametrize("service", SERVICES)
def test_dependencies_exist_and_are_waited_for(service: str) -> None:
    for name, wait in SERVICES[service].get("depends_on", {}).items():
        wanted = "service_completed_successfully" if SERVICES[name]["restart"] == "no" else "service_healthy"
        assert wait["condition"] == wanted


def test_no_literal_secret() -> None:
    for service, name, value in _settings():
        if SECRET_NAME.search(name):
            assert REQUIRED.search(value), f"{service}: {name} is written out, or has a default"
    for url_password in re.findall(r"://[^:/\s]*:([^@\s]+)@", TEXT):
        assert REQUIRED.fullmatch(url_password), f"password {url_password!r} is written out"


def test_workers_hold_no_key_of_airflow() -> None:
    """Tasks run whatever a DAG says, so the keys that open Airflow's database and sign its tokens are not there."""
    for worker in ("worker", "worker-gpu"):
        names = set(SERVICES[worker]["environment"])
        assert not names & set(COMPOSE["x-airflow-core-env"])


def test_airflow_settings_exist() -> None:
    spec = importlib.util.find_spec("airflow")  # found, not imported: importing it would start it up
    assert spec is not None and spec.submodule_search_locations is not None
    template = Path(spec.submodule_search_locations[0]) / "config_templates" / "config.yml"
    known = {section: set(body["options"]) for section, body in yaml.safe_load(template.read_text()).items()}
    used = {name for _, name, _ in _settings() if name.startswith("AIRFLOW__")}
    assert len(used) > 10
    for name in used:
        _, section, option = name.lower().split("__")
        assert option in (known | CELERY_OPTIONS).get(section, set()), f"Airflow has no [{section}] {option}"


def test_required_variables_are_in_env_example() -> None:
    explained = set(re.findall(r"^#?([A-Z0-9_]+)=", ENV_EXAMPLE, re.MULTILINE))
    used = set(re.findall(r"(?<!\$)\$\{([A-Z0-9_]+)", TEXT))
    assert used - explained == set()
    assert explained - used == set(), "explained but not used"
    empty = set(re.findall(r"^([A-Z0-9_]+)=$", ENV_EXAMPLE, re.MULTILINE))
    assert empty == set(REQUIRED.findall(TEXT)), "required ones are empty in env.example, and only they"


def test_every_variable_of_env_example_has_a_comment_above() -> None:
    lines = ENV_EXAMPLE.splitlines()
    for number, line in enumerate(lines):
        if re.match(r"#?[A-Z0-9_]+=", line):
            block = lines[max(0, number - 3) : number]
            assert any(text.startswith("# ") for text in block), f"{line} is not explained"


def test_mounted_files_exist() -> None:
    mounts = [mount for body in SERVICES.values() for mount in body.get("volumes", []) if mount.startswith("./")]
    assert mounts
    for mount in mounts:
        assert (DOCKER / mount.split(":")[0]).is_file()


def test_init_script_makes_every_database_that_urls_name() -> None:
    script = (DOCKER / "init-databases.sh").read_text(encoding="utf-8")
    made = set(re.findall(r'^create (\w+) "\$\{(\w+):\?', script, re.MULTILINE))
    named = set(re.findall(r"postgresql\+psycopg://(\w+):\$\{(\w+):\?[^}]*\}@postgres:5432/\1\b", TEXT))
    assert made == named
