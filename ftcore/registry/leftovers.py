"""What killed processes left behind: MLflow runs that stay open, and folders in the store that nobody will finish.

Nothing is touched while a process may still be at it: an age that no such work reaches, and for folders a lock that the kernel
frees when its holder dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ftcore.registry.tracking import RUN_KEY
from ftcore.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient

WHY_TAG = "ftcore.ended_because"
UNFINISHED_AGE_S = 24 * 3600.0
"""For open runs (ftcore closes a run at once after making it, and never leaves one open while it trains) and for `tmp/`."""
SCRATCH_AGE_S = 7 * 24 * 3600.0
"""For checkpoints: somebody may come back after days and go on from them."""


def end_ghost_runs(client: MlflowClient) -> list[str]:
    """Mark ftcore's MLflow runs that have been RUNNING for more than a day as KILLED, with the reason as a tag.

    Runs without ftcore's tag are somebody else's and stay as they are.

    Returns:
        One line per run.
    """
    experiments = [item.experiment_id for item in client.search_experiments()]
    before_ms = int((time.time() - UNFINISHED_AGE_S) * 1000)
    query = f"attributes.status = 'RUNNING' AND attributes.start_time < {before_ms} AND tags.`{RUN_KEY}` LIKE '%'"
    done = []
    for run in client.search_runs(experiments, query) if experiments else ():
        why = f"open for more than {UNFINISHED_AGE_S / 3600:.0f} h: the process that made it has died"
        client.set_tag(run.info.run_id, WHY_TAG, why)
        client.set_terminated(run.info.run_id, status="KILLED")
        done.append(f"MLflow run {run.info.run_name}: ended as KILLED, {why}")
    return done


def remove_leftovers(store: Store) -> list[str]:
    """Delete work in progress older than a day (`tmp/`) and checkpoints older than a week (`scratch/`) that nobody holds.

    Returns:
        One line per folder.
    """
    done = []
    for pattern, age_s in (("tmp/*", UNFINISHED_AGE_S), ("scratch/*/*", SCRATCH_AGE_S)):
        for folder in sorted(store.root.glob(pattern)):
            if folder.is_dir() and time.time() - _last_change(folder) > age_s and _remove_if_free(folder):
                done.append(f"{folder.relative_to(store.root)}: removed, left by a process that died")
    return done


def _last_change(folder: Path) -> float:
    """When anything in it was written last, seconds since the epoch; now, if it is being deleted this moment."""
    try:
        return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
    except FileNotFoundError:
        return time.time()


def _remove_if_free(folder: Path) -> bool:
    """Delete it unless a living process holds the folder (a stage) or the lock file in it (a training)."""
    with contextlib.ExitStack() as locks:
        try:
            for path in filter(Path.exists, (folder, folder / "lock")):
                descriptor = os.open(path, os.O_RDONLY)
                locks.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # held; or a file system that cannot say
            return False
        shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()
