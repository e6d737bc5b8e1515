"""Checks of the machine and the environment, each with what was seen and what to do."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from ftcore.errors import FtcoreError
from ftcore.stack.control import load_stack
from ftcore.stack.ports import is_free
from ftcore.stack.services import DEFAULT_PORTS, get_json

MIN_MEMORY_GIB = 6.0
MIN_DISK_GIB = 5.0


@dataclass(frozen=True)
class Check:
    """One finding. `warn`: works, but look at it; `fail`: something will not work."""

    name: str
    state: Literal["ok", "warn", "fail"]
    seen: str
    hint: str = ""

    def to_dict(self) -> dict[str, str]:
        return asdict(self)


def examine(home: Path, constraints: Path | None = None) -> list[Check]:
    """All checks. `constraints` is the file of pinned versions (default: `constraints.txt` of the current project)."""
    pins = constraints or Path("constraints.txt")
    return [_python(), _memory(), _disk(home), _git(), *_versions(pins), *_stack(home), _ledger(home)]


def _python() -> Check:
    seen = f"Python {sys.version.split()[0]} at {sys.executable}"
    fits = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return Check("python", "ok" if fits else "fail", seen, "" if fits else "use Python 3.11, 3.12 or 3.13")


def _memory() -> Check:
    try:
        total_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    except (ValueError, OSError):
        return Check("memory", "warn", "the system does not tell", f"wanted {MIN_MEMORY_GIB:.0f} GiB")
    limit = Path("/sys/fs/cgroup/memory.max")  # a container's own limit
    if limit.is_file() and (text := limit.read_text().strip()).isdigit():
        total_gib = min(total_gib, int(text) / 2**30)
    enough = total_gib >= MIN_MEMORY_GIB * 0.95  # the kernel keeps a little for itself
    hint = "" if enough else f"the stack and a small model want {MIN_MEMORY_GIB:.0f} GiB"
    return Check("memory", "ok" if enough else "warn", f"{total_gib:.1f} GiB, {os.cpu_count()} cores", hint)


def _disk(home: Path) -> Check:
    folder = next(parent for parent in (home, *home.parents) if parent.exists())
    free_gib = shutil.disk_usage(folder).free / 2**30
    seen = f"{free_gib:.1f} GiB free under {folder}"
    if not os.access(folder, os.W_OK):
        return Check("disk", "fail", f"{folder} cannot be written", "export FTCORE_HOME=/a/folder/you/own")
    hint = "" if free_gib >= MIN_DISK_GIB else f"wanted {MIN_DISK_GIB:.0f} GiB: export FTCORE_HOME=/a/larger/disk"
    return Check("disk", "warn" if hint else "ok", seen, hint)


def _git() -> Check:
    if shutil.which("git") is None:
        return Check("git", "fail", "no git on the path", "install git: data versions are git commits")
    seen = subprocess.run(["git", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return Check("git", "ok", seen)


def _versions(constraints: Path) -> Iterator[Check]:
    """Installed packages against the pinned ones; only differences are listed."""
    if not constraints.is_file():
        yield Check("packages", "warn", f"no {constraints} here", "run it in the project's folder")
        return
    pinned = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;#]+)", constraints.read_text(encoding="utf-8"), re.MULTILINE)
    different, absent = [], []
    for name, version in pinned:
        try:
            seen = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            absent.append(name)
            continue
        if seen.partition("+")[0] != version.partition("+")[0]:
            different.append(f"{name} {seen} (pinned {version})")
    fix = f"pip install -e . -c {constraints}"
    if different:
        yield Check("packages", "warn", f"{len(different)} differ: {', '.join(different[:8])}", fix)
    else:
        yield Check(
            "packages", "ok", f"{len(pinned) - len(absent)} of {len(pinned)} pinned versions installed, none differs"
        )


def _stack(home: Path) -> Iterator[Check]:
    stack = load_stack(home)
    if stack is None or not stack.processes:
        busy = [f"{port} ({name})" for name, port in DEFAULT_PORTS.items() if not is_free(port)]
        hint = "`ftcore up` takes the next free ones" if busy else ""
        seen = f"in use: {', '.join(busy)}" if busy else f"{', '.join(map(str, DEFAULT_PORTS.values()))} are free"
        yield Check("ports", "warn" if busy else "ok", seen, hint)
        return
    for name, process in stack.processes.items():
        state: Literal["ok", "fail"] = "ok" if process.alive else "fail"
        hint = "" if process.alive else f"tail {process.log}; ftcore up"
        yield Check(name, state, f"pid {process.pid} is {'alive' if process.alive else 'gone'}", hint)
    health = get_json(f"{stack.url('airflow')}/api/v2/monitor/health") or {}
    for part, value in health.items():
        if value.get("status") == "unhealthy":
            yield Check(f"airflow {part}", "fail", "unhealthy", f"tail {home / 'logs'}/{part.replace('_', '-')}.log")


def _ledger(home: Path) -> Check:
    from ftcore.ledger import open_ledger

    if "FTCORE_LEDGER_URL" not in os.environ and not (home / "ledger.db").exists():
        return Check("ledger", "ok", "none yet")
    try:
        report = open_ledger().verify()
    except FtcoreError as error:
        return Check("ledger", "fail", error.message, error.hint)
    if not report.ok:
        return Check("ledger", "fail", "the chain or a table does not fit the events", "ftcore audit verify")
    return Check("ledger", "ok", "the chain is whole and every table fits it")
