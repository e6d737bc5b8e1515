"""Start, stop and look at the stack. What runs is recorded in `$FTCORE_HOME/run/stack.json`."""

from __future__ import annotations

import contextlib
import fcntl
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ftcore.errors import ServiceUnavailable, UsageError
from ftcore.stack import processes
from ftcore.stack.airflow_client import AirflowClient
from ftcore.stack.environment import ADMIN, airflow_environment, password_file
from ftcore.stack.ports import LOOPBACK, choose_port
from ftcore.stack.processes import Started, memory_mib, tail
from ftcore.stack.services import DEFAULT_PORTS, GPU_POOL, Service, services
from ftcore.store import write_durable

Announce = Callable[[str], None]


@dataclass(frozen=True)
class Stack:
    """A stack as recorded on disk."""

    home: str
    project: str
    ports: Mapping[str, int]
    processes: Mapping[str, Started]
    started_at: str

    def url(self, name: str) -> str:
        """Address of `airflow`, `mlflow` or `server`."""
        return f"http://{LOOPBACK}:{self.ports[name]}"

    @property
    def running(self) -> bool:
        """True when every service is alive."""
        return bool(self.processes) and all(process.alive for process in self.processes.values())

    @property
    def credentials(self) -> tuple[str, str]:
        """Airflow's user name and password."""
        passwords = json.loads(password_file(Path(self.home)).read_text(encoding="utf-8"))
        return ADMIN, passwords[ADMIN]


def load_stack(home: Path) -> Stack | None:
    """The stack recorded under `home`, whether it runs or not; None when none was ever started or it was stopped."""
    try:
        raw = json.loads((home / "run" / "stack.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return Stack(**{**raw, "processes": {name: Started(**item) for name, item in raw["processes"].items()}})


def up(
    home: Path,
    project: Path,
    *,
    asked_ports: Mapping[str, int | None] | None = None,
    announce: Announce = lambda line: None,
    timeout_s: float = 180.0,
) -> Stack:
    """Start what is not running yet and wait until all of it answers. Safe to repeat.

    Args:
        home: FTCORE_HOME; a stack in another home runs beside this one on other ports.
        project: Folder that holds `dags/` and `plugins/`.
        asked_ports: Port by `airflow`, `mlflow`, `server`; None or absent: the usual one, else a free one.
        announce: Receives one line per step.
        timeout_s: How long to wait for all services together.

    Raises:
        UsageError: A port asked for is busy, or another `up` or `down` works on the same home.
        ServiceUnavailable: A service died or did not answer in time; the message holds its last log lines.
    """
    with _locked(home):
        before = load_stack(home)
        alive = {name: p for name, p in (before.processes if before else {}).items() if p.alive}
        ports = _ports(before, bool(alive), asked_ports or {}, announce)
        wanted = services(home, project, ports)
        missing = [service for service in wanted if service.name not in alive]
        if not missing and before is not None:
            announce("already running")
            return before
        for folder in ("airflow", "logs", "run", "mlflow/artifacts"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        for folder in ("airflow", "run"):
            (home / folder).chmod(0o700)
        now = datetime.now(UTC)
        stack = Stack(str(home), str(project), ports, alive, before.started_at if alive and before else now.isoformat())
        stack = _start(stack, missing, announce)
        _wait(stack, missing, now, timeout_s, announce)
        _prepare_airflow(stack, timeout_s, announce)
        return stack


def down(home: Path, announce: Announce = lambda line: None) -> bool:
    """Stop the stack under `home`, and only it. False when none was running."""
    with _locked(home):
        stack = load_stack(home)
        if stack is None or not stack.processes:
            return False
        killed = processes.stop(stack.processes.values())
        for name in killed:
            announce(f"{name} did not stop by itself and was killed")
        _save(replace(stack, processes={}))
        return True


def status(home: Path) -> dict[str, Any]:
    """What runs, where, and how much memory (PSS, MiB) each service takes."""
    stack = load_stack(home)
    if stack is None or not stack.processes:
        return {"home": str(home), "running": False, "services": {}}
    rows: dict[str, dict[str, Any]] = {}
    for name, process in stack.processes.items():
        alive = process.alive
        memory = memory_mib(process) if alive else None
        rows[name] = {"alive": alive, "pid": process.pid, "memory_mib": memory, "log": process.log}
    return {
        "home": stack.home,
        "project": stack.project,
        "running": stack.running,
        "started_at": stack.started_at,
        "urls": {name: stack.url(name) for name in stack.ports},
        "user": ADMIN,
        "password_file": str(password_file(home)),
        "memory_mib": round(sum(row["memory_mib"] or 0.0 for row in rows.values()), 1),
        "services": rows,
    }


def _ports(before: Stack | None, keep: bool, asked: Mapping[str, int | None], announce: Announce) -> dict[str, int]:
    """Ports of a running stack stay; a stopped one gets its old ports back where they are free."""
    if before and keep:
        return dict(before.ports)
    chosen: dict[str, int] = {}
    for name, usual in DEFAULT_PORTS.items():
        preferred = before.ports[name] if before else usual
        port = choose_port(preferred, asked=asked.get(name), taken=tuple(chosen.values()))
        if port != preferred and asked.get(name) is None:
            announce(f"port {preferred} is in use: {name} takes {port}")
        chosen[name] = port
    return chosen


def _start(stack: Stack, missing: list[Service], announce: Announce) -> Stack:
    """Start services one by one, recording each at once, so that `down` finds them whatever happens next."""
    home = Path(stack.home)
    migrated = False
    for service in missing:
        if service.command[2] == "airflow" and not migrated:
            _migrate(stack, announce)
            migrated = True
        log = home / "logs" / f"{service.name}.log"
        process = processes.start(service.name, service.command, env=service.env, cwd=home, log=log)
        stack = replace(stack, processes={**stack.processes, service.name: process})
        _save(stack)
        announce(f"started {service.name} (pid {process.pid})")
    return stack


def _migrate(stack: Stack, announce: Announce) -> None:
    """Create or upgrade Airflow's database before anything uses it."""
    home = Path(stack.home)
    announce("preparing Airflow's database")
    env = airflow_environment(home, Path(stack.project), stack.ports)
    log = home / "logs" / "airflow-migrate.log"
    with log.open("ab") as file:
        command = [sys.executable, "-m", "airflow", "db", "migrate"]
        code = subprocess.run(command, env=env, cwd=home, stdout=file, stderr=file, check=False).returncode
    if code:
        raise ServiceUnavailable(f"Airflow's database cannot be prepared; last lines of {log}:", details=tail(log))


def _wait(stack: Stack, missing: list[Service], since: datetime, timeout_s: float, announce: Announce) -> None:
    """Wait for health; a service that dies is reported at once, with its log."""
    waiting = {service.name: service for service in missing}
    started = time.monotonic()
    while waiting:
        for name, service in list(waiting.items()):
            process = stack.processes[name]
            if not process.alive:
                raise ServiceUnavailable(
                    f"{name} died while starting; last lines of {process.log}:", details=tail(Path(process.log))
                )
            if service.ready(since):
                announce(f"{name} is ready ({time.monotonic() - started:.0f} s)")
                del waiting[name]
        if waiting and time.monotonic() - started > timeout_s:
            name = next(iter(waiting))
            log = Path(stack.processes[name].log)
            raise ServiceUnavailable(
                f"{', '.join(waiting)} did not answer within {timeout_s:.0f} s; last lines of {log}:", details=tail(log)
            )
        time.sleep(0.25)


def _prepare_airflow(stack: Stack, timeout_s: float, announce: Announce) -> None:
    """The device pool, and a first look at the DAGs: an import error is said now, not found later."""
    with AirflowClient(stack.url("airflow"), *stack.credentials) as airflow:
        airflow.ensure_pool(GPU_POOL, 1, "one training or evaluation at a time per device")
        deadline = time.monotonic() + timeout_s
        while not (dags := airflow.dags()) and time.monotonic() < deadline:
            if errors := airflow.import_errors():
                raise ServiceUnavailable("Airflow cannot import the DAG files:", details=errors)
            time.sleep(0.5)
        announce(f"{len(dags)} DAGs found")


def _save(stack: Stack) -> None:
    write_durable(Path(stack.home) / "run" / "stack.json", json.dumps(asdict(stack), indent=2))


@contextlib.contextmanager
def _locked(home: Path) -> Iterator[None]:
    """One `up` or `down` per home at a time."""
    (home / "run").mkdir(parents=True, exist_ok=True)
    with (home / "run" / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"Another `ftcore up` or `ftcore down` works on {home} now.", hint="ftcore status"
            ) from None
        yield
