"""A sweep ends what the dead left, and nothing that lives."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from ftcore.ledger import open_ledger
from ftcore.registry import leftovers, tracking
from ftcore.registry.reconcile import reconcile
from ftcore.store import Store

HOUR_MS = 3600 * 1000


def sweep() -> list[str]:
    with open_ledger() as ledger:
        return reconcile(ledger, Store(), actor="ada")


def test_only_old_open_runs_of_ftcore_are_ended(with_mlflow: Path) -> None:
    client, now_ms = tracking.connect(), int(time.time() * 1000)
    closed = tracking.find_or_create_run(client, "intents", "closed")
    experiment = closed.info.experiment_id

    def open_run(name: str, age_h: int, tags: dict[str, str]) -> str:
        run = client.create_run(experiment, start_time=now_ms - age_h * HOUR_MS, run_name=name, tags=tags)
        return str(run.info.run_id)

    ghost = open_run("ghost", 25, {tracking.RUN_KEY: "g"})
    young = open_run("young", 23, {tracking.RUN_KEY: "y"})
    foreign = open_run("foreign", 25, {})
    assert [line.split(":")[0] for line in sweep()] == ["MLflow run ghost"]
    status = {name: client.get_run(name).info.status for name in (ghost, young, foreign, closed.info.run_id)}
    assert list(status.values()) == ["KILLED", "RUNNING", "RUNNING", "FINISHED"]
    assert "has died" in client.get_run(ghost).data.tags[leftovers.WHY_TAG]
    assert sweep() == []
    # the same candidate again takes the run up and closes it, whatever state a kill left it in
    for key in ("g", "y"):
        assert tracking.find_or_create_run(client, "intents", key).info.status == "FINISHED"


def aged(folder: Path, days: float) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "half").write_text("half")
    for path in (folder / "half", folder):
        os.utime(path, (time.time() - days * 86400,) * 2)
    return folder


def test_folders_of_the_dead_go_and_those_of_the_living_stay(home: Path) -> None:
    dead, young = aged(home / "tmp" / "train-dead", 1.1), aged(home / "tmp" / "train-young", 0.9)
    stale, resumable = (
        aged(home / "scratch" / "train" / "stale", 7.1),
        aged(home / "scratch" / "train" / "resumable", 6.9),
    )
    code = (
        "from ftcore.store import Store\nfrom ftcore.training.checkpoints import exclusive\n"
        "with Store().writing('train', 'k') as out, exclusive(out.scratch, out.path):\n"
        "    print(out.path, out.scratch, sep='\\n', flush=True)\n    input()\n"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as living:
        assert living.stdout is not None
        held = [aged(Path(living.stdout.readline().strip()), 9) for _ in range(2)]
        os.utime(held[1] / "lock", (time.time() - 9 * 86400,) * 2)
        os.utime(held[1], (time.time() - 9 * 86400,) * 2)
        assert [line.split(":")[0] for line in sweep()] == ["tmp/train-dead", "scratch/train/stale"]
        assert [path.exists() for path in (dead, stale, young, resumable, *held)] == [False] * 2 + [True] * 4
        living.kill()
    assert len(sweep()) == 2
    assert not any(path.exists() for path in held)
