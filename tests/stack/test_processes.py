"""Processes are started apart, told from strangers, and stopped with all their children."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ftcore.stack.processes import Started, memory_mib, start, start_mark, stop, tail

SLEEP = "import time; time.sleep(60)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
)
# A leader with one child; the child's id goes to the log.
FAMILY = f"import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); print(c.pid, flush=True); c.wait()"


def begin(folder: Path, code: str, name: str = "service") -> Started:
    command = [sys.executable, "-c", code]
    return start(name, command, env=os.environ, cwd=folder, log=folder / "logs" / f"{name}.log")


def wait_for_line(process: Started) -> str:
    deadline = time.monotonic() + 20
    while not (lines := tail(Path(process.log))):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return lines[-1]


# The same, the child in a process group of its own, as Airflow starts its tasks.
APART = FAMILY.replace("])", "], process_group=0)")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_task_in_a_group_of_its_own_is_stopped_too(tmp_path: Path) -> None:
    service = begin(tmp_path, APART)
    child = int(wait_for_line(service))
    assert stop([service]) == []
    deadline = time.monotonic() + 5
    while start_mark(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert start_mark(child) is None


def test_stop_ends_the_process_and_its_children(tmp_path: Path) -> None:
    family = begin(tmp_path, FAMILY)
    child = int(wait_for_line(family))
    assert family.alive
    assert start_mark(child)
    assert stop([family]) == []
    assert not family.alive
    assert start_mark(child) is None


def test_one_that_ignores_the_polite_signal_is_killed(tmp_path: Path) -> None:
    stubborn = begin(tmp_path, STUBBORN)
    wait_for_line(stubborn)
    assert stop([stubborn], grace_s=0.3) == ["service"]
    assert not stubborn.alive


def test_a_recycled_process_id_is_never_touched(tmp_path: Path) -> None:
    stranger = begin(tmp_path, SLEEP)
    ours = replace(stranger, mark="00000000:1")  # same id, other start: our process is long gone
    assert not ours.alive
    stop([ours])
    assert stranger.alive
    stop([stranger])


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_children_that_outlived_their_leader_are_found_but_strangers_are_left_alone(tmp_path: Path) -> None:
    family = begin(tmp_path, FAMILY)
    child = int(wait_for_line(family))
    os.kill(family.pid, 9)
    while family.alive:
        time.sleep(0.02)
    assert start_mark(child)
    stop([replace(family, cwd="/somewhere/else")])
    assert start_mark(child)
    stop([family], grace_s=0.2)
    deadline = time.monotonic() + 5
    while start_mark(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert start_mark(child) is None


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_memory_counts_the_whole_group(tmp_path: Path) -> None:
    family = begin(tmp_path, FAMILY)
    wait_for_line(family)
    both = memory_mib(family)
    stop([family])
    assert both is not None
    assert both > 5
    assert memory_mib(family) == 0


def test_a_dead_process_of_our_own_is_not_alive() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    deadline = time.monotonic() + 20
    while start_mark(child.pid) and time.monotonic() < deadline:  # a zombie would stay for ever
        time.sleep(0.02)
    assert start_mark(child.pid) is None


def test_tail_of_a_log_that_is_not_there(tmp_path: Path) -> None:
    assert tail(tmp_path / "none.log") == []
