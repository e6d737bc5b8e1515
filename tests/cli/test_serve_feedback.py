"""`serve`, `watch` and `feedback`: what they refuse, and what they hand on."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from ftcore.errors import UsageError
from ftcore.serving.feedback import append_feedback, read_feedback
from ftcore.serving.log import feedback_folder, read_log
from ftcore.serving.server import check_port

GOOD = "0" * 32


def ftcore(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "FTCORE_HOME": str(home)}
    command = [sys.executable, "-m", "ftcore", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_labels_from_a_file_are_all_noted_or_none(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"id,label,source,note\n{GOOD},login,agent,x\n{'1' * 32},billing,,y\n", encoding="utf-8")
    assert append_feedback("s", read_feedback(path)) == 2
    rows, _ = read_log(feedback_folder(home, "s"))
    assert [(row["label"], row.get("source")) for row in rows] == [("login", "agent"), ("billing", None)]
    path.write_text(f"id,label\n{GOOD},login\nnot-an-id,billing\n{GOOD},\n", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        append_feedback("s", read_feedback(path))
    assert caught.value.message.startswith("2 of 3 rows have faults")
    assert caught.value.details[0].startswith("row 1: id:")
    assert len(read_log(feedback_folder(home, "s"))[0]) == 2


def test_replies_and_ratings_from_a_file(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "replies.csv"
    path.write_text(f"id,reply,rating\n{GOOD},we block it,down\n{'1' * 32},,up\n", encoding="utf-8")
    assert append_feedback("s", read_feedback(path)) == 2
    rows, _ = read_log(feedback_folder(home, "s"))
    assert [(row.get("reply"), row["rating"]) for row in rows] == [("we block it", "down"), (None, "up")]


def test_feedback_send_and_its_misuse(home: Path) -> None:
    done = ftcore(home, "feedback", "send", "s", "--id", GOOD, "--label", "login", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"accepted": 1})
    wrong = ftcore(home, "feedback", "send", "s", "--id", GOOD)
    assert wrong.returncode == 2
    assert "--file" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_serve_wants_names_or_all_and_a_free_port(home: Path) -> None:
    assert ftcore(home, "serve").returncode == 2
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match="Cannot listen on"):
            check_port("127.0.0.1", int(taken.getsockname()[1]))


@pytest.mark.functional
def test_serve_answers_before_the_first_promotion_and_ends_on_sigterm(home: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "ftcore", "serve", "--all", "--port", str(port)]
    process = subprocess.Popen(command, env={**os.environ, "FTCORE_HOME": str(home)}, stderr=subprocess.PIPE, text=True)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        deadline = time.monotonic() + 90
        while True:
            try:
                live = client.get("/live")
                break
            except httpx.HTTPError:
                assert process.poll() is None, process.stderr.read() if process.stderr else ""
                assert time.monotonic() < deadline
                time.sleep(0.2)
        assert (live.status_code, client.get("/health").status_code) == (200, 503)
        assert client.get("/v1/support/version").json()["error"]["hint"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) in (0, -signal.SIGTERM)
