"""Processes that outlive the command that started them, and that can be stopped without ever hitting a stranger.

A process id alone is no identity: the kernel reuses it. Each process is remembered with the mark of its start (kernel
start time and boot), and nothing is signalled unless both still agree.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class Started:
    """One running service: leader of its own session and process group, so `pid` is also the group id."""

    name: str
    pid: int
    mark: str
    """Start mark of the process: two processes with the same pid differ in it."""
    log: str
    cwd: str
    """Folder it was started in: tells members of the group that outlived their leader from a stranger's."""

    @property
    def alive(self) -> bool:
        return start_mark(self.pid) == self.mark


def start_mark(pid: int) -> str | None:
    """Boot and start time of a live process; None when there is none or it is a zombie."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # reap our own dead child, which would look alive otherwise
    if not _PROC.is_dir():
        seen = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return seen.stdout.strip() or None
    try:
        # The second field is the program name in parentheses and may hold spaces: count from the last parenthesis.
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    state, start_ticks = fields[0], fields[19]
    return None if state in "ZX" else f"{boot[:8]}:{start_ticks}"


def start(name: str, command: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path) -> Started:
    """Start `command` in a session of its own, standard output and error appended to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        child = subprocess.Popen(
            list(command),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    child.returncode = 0  # it outlives this command on purpose: no "still running" warning when the object goes away
    return Started(name, child.pid, start_mark(child.pid) or "", str(log), str(cwd))


def stop(processes: Iterable[Started], *, grace_s: float = 8.0) -> list[str]:
    """End services with all their processes: SIGTERM to all, SIGKILL after `grace_s` to those that stay.

    Airflow's API server on SQLite closes everything in order and then hangs on a database thread: it often needs the latter.

    Returns:
        Names of the services that had to be killed.
    """
    running = [process for process in processes if process.alive or _orphans(process)]
    for process in running:
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline and any(process.alive or _orphans(process) for process in running):
        time.sleep(0.1)
    killed = [process.name for process in running if process.alive or _orphans(process)]
    for process in running:
        if process.alive or _orphans(process):
            _signal(process, signal.SIGKILL)
    while any(process.alive for process in running):
        time.sleep(0.05)
    return killed


def _signal(process: Started, number: signal.Signals) -> None:
    """Signal the leader's group and what else lives in its session: Airflow gives every task a group of its own."""
    others = _members(process) if process.alive else _orphans(process)
    if process.alive:  # else its id is no longer ours: only the members that are surely ours
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
    for pid in others:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _members(process: Started) -> list[int]:
    """Process ids of the leader's session, where /proc tells."""
    members = []
    for folder in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.getsid(int(folder.name)) == process.pid:
                members.append(int(folder.name))
    return [pid for pid in members if start_mark(pid)]


def _orphans(process: Started) -> list[int]:
    """Members that outlived their leader. None when the id has a new owner; those in another folder are strangers."""
    found = []
    for pid in [] if start_mark(process.pid) else _members(process):
        with contextlib.suppress(OSError):
            if str((_PROC / str(pid) / "cwd").readlink()) == process.cwd:
                found.append(pid)
    return found


def memory_mib(process: Started) -> float | None:
    """Memory of all processes of the session: proportional set size in MiB; None where the kernel does not tell."""
    if not _PROC.is_dir():
        return None
    total_kib = 0
    for pid in _members(process):
        with contextlib.suppress(OSError, StopIteration):  # it ended while we looked
            rollup = (_PROC / str(pid) / "smaps_rollup").read_text()
            total_kib += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return round(total_kib / 1024, 1)


def tail(log: Path, lines: int = 15) -> list[str]:
    """The last lines of a log file; empty when it cannot be read."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16_384))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return []
