"""A child streams its progress, leaves one answer, and never outlives its parent."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ftcore.stack.child import Answer, Child
from ftcore.stack.processes import start_mark

SPEC = "dags/specs/support_intents.yaml"


def child_of(code: str) -> Child:
    child = Child([])
    child._command = [sys.executable, "-c", code]
    return child


def test_a_real_command_answers_with_one_document() -> None:
    answer = Child(["spec", "check", SPEC, "--json"]).run(lambda line: None)
    assert (answer.code, answer.outcome) == (0, "done")
    assert answer.document is not None
    assert answer.document["name"] == "support_intents"


def test_a_users_mistake_is_told_as_usage_and_never_retried() -> None:
    said: list[str] = []
    answer = Child(["spec", "check", "no/such.yaml", "--json"]).run(said.append)
    assert answer.outcome == "usage"
    assert "No spec at no/such.yaml" in said[0]
    assert not answer.may_succeed_later


def test_airflows_keys_do_not_reach_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "secret")
    code = "import json, os; print(json.dumps({'seen': [name for name in os.environ if name.endswith('FERNET_KEY')]}))"
    assert child_of(code).run(lambda line: None).document == {"seen": []}


def test_lines_come_as_they_are_said_and_of_a_progress_bar_only_the_end() -> None:
    times: list[tuple[str, float]] = []
    code = r"import sys, time; e = sys.stderr; e.write('one\n'); e.flush(); time.sleep(.5); e.write('1%\r50%\r99%\n')"
    child_of(code).run(lambda line: times.append((line, time.monotonic())))
    assert [line for line, _ in times] == ["one", "99%"]
    assert times[1][1] - times[0][1] > 0.3


def test_an_exception_while_it_runs_ends_the_whole_family(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    inner = "import time; time.sleep(60)"
    code = (
        f"import os, subprocess, sys, time; c = subprocess.Popen([sys.executable, '-c', {inner!r}]);"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{c.pid}}'); sys.stderr.write('up\\n'); sys.stderr.flush(); c.wait()"
    )

    def time_out(line: str) -> None:
        raise TimeoutError(line)

    with pytest.raises(TimeoutError):
        child_of(code).run(time_out)
    deadline = time.monotonic() + 5
    while any(start_mark(int(pid)) for pid in pids.read_text().split()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [pid for pid in pids.read_text().split() if start_mark(int(pid))] == []


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal")
def test_a_worker_killed_hard_takes_its_child_along(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    inner = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    code = (
        "import sys; from ftcore.stack.child import Child; c = Child([]);"
        f"c._command = [sys.executable, '-c', {inner!r}]; c.run(print)"
    )
    worker = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 20
    while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    worker.kill()
    worker.wait()
    while start_mark(int(pid_file.read_text())) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert start_mark(int(pid_file.read_text())) is None


def test_killed_children_are_explained() -> None:
    answer = child_of(f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})").run(lambda line: None)
    assert answer.outcome == "crashed"
    assert answer.may_succeed_later
    assert "memory" in answer.explain()
    assert Answer(1, None, ("it broke",)).explain() == "Exit code 1: it broke"
