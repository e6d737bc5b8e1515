"""Starts the processes of a training by `accelerate launch`, and understands how they ended.

The processes leave checkpoints, as one process would; whoever called goes on from there as after a restart. A process that fails
says why in a file of its own and ends, whereupon the launcher ends the others: nobody waits for one who is gone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ftcore
from ftcore import errors
from ftcore.errors import FtcoreError, UsageError, WorkerFailed
from ftcore.models.devices import Device
from ftcore.training.findings import Finding
from ftcore.training.history import OutOfMemory
from ftcore.training.recipes import Recipe
from ftcore.training.trainer import SAID

FOLDER, JOB = "launch", "job.json"
"""Below the checkpoints: what the processes are to do, and what became of each."""
MAIN_ADDRESS = "FTCORE_MAIN_ADDRESS"
WORKER = "ftcore.training.worker"
_KEPT_LINES = 60
_GRACE_S = 40.0
"""Longer than the launcher itself gives its processes before it kills them."""


@dataclass(frozen=True)
class Outcome:
    """What the processes of one attempt came to."""

    done: bool
    """False: memory ran out, as the last item of `out_of_memory` tells."""
    findings: tuple[Finding, ...]
    out_of_memory: tuple[OutOfMemory, ...]
    micro_batch_size: int
    train_s: float
    num_steps: int
    """Optimiser steps of the whole run so far."""


def launch(recipe: Recipe) -> Outcome:
    """Carry out one attempt on all processes, and wait for its end.

    Raises:
        WorkerFailed: A process ended without a word: it was killed, or has a fault.
        UsageError: There are several nodes, and their addresses are not given.
        FtcoreError: What a process raised.
    """
    folder = recipe.checkpoint_dir / FOLDER
    host, port = _address(recipe.device.nodes)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        recipe.write(folder / JOB)
        code, last_lines = run_node(folder, recipe.device, 0, host, port)
        return _read(folder, code, last_lines)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_node(folder: Path, device: Device, rank: int, host: str, port: int) -> tuple[int, list[str]]:
    """Run the processes of this machine to their end. They end with this process, however that ends.

    Args:
        folder: Holds the job.
        rank: Of this machine, from 0.
        host: Of machine 0.
        port: Of machine 0.

    Returns:
        Exit code, and the last lines that are no progress.
    """
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu",  # also for CPUs: --cpu starts one process only
        "--num_processes", str(device.num_processes), "--num_machines", str(device.nodes), "--machine_rank", str(rank),
        "--main_process_ip", host, "--main_process_port", str(port), "--same_network", "--rdzv_backend", "static",
        "--mixed_precision", "no", "--dynamo_backend", "no",  # the training arguments say it
        "--module", WORKER, str(folder / JOB),
    ]  # fmt: skip
    kept: deque[str] = deque(maxlen=_KEPT_LINES)
    with _running(command, _environment(device)) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(SAID):
                sys.stderr.write(line)
                sys.stderr.flush()
            else:
                kept.append(line.rstrip())
        return process.wait(), list(kept)


@contextlib.contextmanager
def _running(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """The launcher, which never outlives the block. Its standard input is a pipe that closes when this process is gone: the
    processes it starts inherit it and watch (`worker`)."""
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_S)
        process.kill()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()
        process.wait()


def _environment(device: Device) -> dict[str, str]:
    threads, root = str(max(1, device.threads // device.processes)), str(Path(ftcore.__file__).parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "false"}


def _address(nodes: int) -> tuple[str, int]:
    """Host and port at which the processes meet.

    Raises:
        UsageError: There are several nodes, and the environment does not say.
    """
    if nodes == 1:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return "127.0.0.1", int(free.getsockname()[1])
    return parse_address(os.environ.get(MAIN_ADDRESS, ""), nodes)


def parse_address(text: str, nodes: int = 2) -> tuple[str, int]:
    """Of the first node, as host:port.

    Raises:
        UsageError: It is no such.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        seen = f"Training on {nodes} nodes needs the address of the first one in {MAIN_ADDRESS}; saw {text!r}."
        raise UsageError(seen, hint=f"{MAIN_ADDRESS}=10.0.0.5:29500 here, and ftcore join on the other nodes")
    return host, int(port)


def _read(folder: Path, code: int, last_lines: list[str]) -> Outcome:
    told = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("outcome-*.json"))]
    for outcome in told:
        if "error" in outcome:
            raise error_of(outcome["error"])
    missing = next((outcome for outcome in told if not outcome["done"]), None)
    main = folder / "outcome-0.json"
    if missing is None and (code or not main.exists()):
        crashes = sorted(folder.glob("crash-*.txt"), key=lambda path: path.stat().st_mtime_ns)
        sys.stderr.write(crashes[0].read_text(encoding="utf-8") if crashes else "\n".join([*last_lines, ""]))
        raise WorkerFailed(
            f"A process of the training ended without a word (the launcher's code is {code}); wanted it to train to the end.",
            hint="look at the lines above; if there is no error among them, it was killed (memory?). Run the same command again",
        )
    found = missing or json.loads(main.read_text(encoding="utf-8"))
    found["findings"] = tuple(Finding(**item) for item in found["findings"])
    found["out_of_memory"] = tuple(OutOfMemory(**item) for item in found["out_of_memory"])
    return Outcome(**found)


def outcome_to_plain(outcome: Outcome | FtcoreError) -> dict[str, Any]:
    """What a process writes."""
    if isinstance(outcome, Outcome):
        return dataclasses.asdict(outcome)
    kind = type(outcome).__name__
    parts = {"message": outcome.message, "hint": outcome.hint, "details": list(outcome.details)}
    return {"error": {"kind": kind, **parts}}


def error_of(plain: dict[str, Any]) -> FtcoreError:
    """The error that a process raised."""
    kind = getattr(errors, plain["kind"])
    found: FtcoreError = kind(plain["message"], hint=plain["hint"], details=plain["details"])
    return found
