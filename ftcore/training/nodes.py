"""The part of machines that help another one to train: wait for its jobs, run the processes of this machine, wait again.

The first machine runs the stage as ever and writes everything. The others see the same FTCORE_HOME at the same path, and find
there what to do, with rows and models.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from ftcore.errors import UsageError
from ftcore.models.devices import Device
from ftcore.training.launch import FOLDER, JOB, run_node
from ftcore.training.trainer import say

_LOOK_EVERY_S = 1.0


def join(folder: Path, rank: int, host: str, port: int, *, trainings: int | None = None) -> None:
    """Take part in trainings as they come.

    Args:
        folder: Below it the first machine keeps its checkpoints.
        rank: Of this machine, from 1.
        host: Of the first machine.
        port: Of the first machine.
        trainings: End after so many; None: never.

    Raises:
        UsageError: There is no such folder, or the rank is the first machine's.
    """
    if rank < 1:
        seen = f"Rank {rank} is the first machine's, which runs the stage itself; wanted 1 or more."
        raise UsageError(seen, hint="ftcore join --rank 1")
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}; wanted the first machine's, at the same path.")
    done: set[tuple[Path, int]] = set()
    while trainings is None or len(done) < trainings:
        for job in folder.rglob(f"{FOLDER}/{JOB}"):
            try:
                key, device = (job, job.stat().st_mtime_ns), Device(**json.loads(job.read_text("utf-8"))["device"])
            except FileNotFoundError:
                continue  # it ended just now
            if key not in done and device.nodes > rank:
                done.add(key)
                say(f"node {rank} takes part in {job.parent.parent}")
                code, last_lines = run_node(job.parent, device, rank, host, port)
                say(f"node {rank} is done" if code == 0 else f"node {rank} ended with code {code}: {last_lines[-1:]}")
        time.sleep(_LOOK_EVERY_S)
