"""Run one ftcore command as a child process: progress streamed, one JSON answer, no orphan left behind.

Training lives in a process of its own so that CUDA never meets a fork and an out-of-memory kill is seen as what it is.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_GRACE_S = 10.0
_NICE = 5


@dataclass(frozen=True)
class Answer:
    """What a child left: its exit code (negative: the signal that killed it) and the JSON document it printed, if any."""

    code: int
    document: dict[str, Any] | None
    last_lines: tuple[str, ...]
    """The end of what it said on standard error."""

    @property
    def outcome(self) -> str:
        """`done`, `refused`, `usage` or `crashed`."""
        return {0: "done", 2: "usage", 3: "refused"}.get(self.code, "crashed")

    @property
    def record(self) -> dict[str, Any] | None:
        """The record that a stage left, refused or not."""
        return (self.document or {}).get("record")

    @property
    def may_succeed_later(self) -> bool:
        """For a crash: False when the child itself named an error that a repetition cannot cure."""
        error = (self.document or {}).get("error")
        return error is None or bool(error["transient"])

    def explain(self) -> str:
        """Why it did not end well, for a person."""
        if self.code == -signal.SIGKILL:
            return "It was killed (SIGKILL): most likely the machine ran out of memory."
        if self.code < 0:
            return f"It was ended by {signal.Signals(-self.code).name}."
        said = " | ".join(self.last_lines)
        return f"Exit code {self.code}: {said or 'it said nothing'}"


class Child:
    """One `python -m ftcore ...` process.

    Args:
        arguments: What follows `python -m ftcore`.
        env: Added to this process's environment.
    """

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self._command = [sys.executable, "-m", "ftcore", *arguments]
        # Airflow's settings hold its keys; a stage has no business with them.
        plain = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__")}
        self._env = plain | {"PYTHONUNBUFFERED": "1", "NO_COLOR": "1"} | dict(env or {})
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, say: Callable[[str], None]) -> Answer:
        """Run to the end; every line of standard error goes to `say` as it comes.

        The child's whole process group is gone when this returns or raises (a task's time-out raises through here).
        """
        with tempfile.TemporaryFile("w+", encoding="utf-8") as stdout:
            process = self._start(stdout)
            try:
                last_lines = _stream(process, say)
                code = process.wait()
            finally:
                self.stop()
            stdout.seek(0)
            return Answer(code, _document(stdout.read()), last_lines)

    def stop(self) -> None:
        """End the child and all that it started; safe to call at any time."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            _signal_group(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_S)
        if process.returncode is None or process.returncode < 0:
            _signal_group(process.pid, signal.SIGKILL)
            process.wait()

    def _start(self, stdout: IO[str]) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            self._command,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            process_group=0,
            preexec_fn=_settle,
        )
        return self._process


def _settle() -> None:
    """Runs in the child before ftcore: leave room for Airflow's own processes, and die with the worker (Linux).

    A worker that is itself killed with SIGKILL cannot stop its child; the kernel does it then.
    """
    os.nice(_NICE)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _stream(process: subprocess.Popen[bytes], say: Callable[[str], None]) -> tuple[str, ...]:
    """Pass standard error on line by line; of a progress bar that redraws itself only the last state."""
    last_lines: list[str] = []
    assert process.stderr is not None
    for raw in process.stderr:
        line = raw.decode(errors="replace").rstrip().rpartition("\r")[2]
        if line:
            say(line)
            last_lines = [*last_lines, line][-5:]
    return tuple(last_lines)


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _document(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
