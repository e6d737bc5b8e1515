"""Promotion under fire: kill -9 at every point, eight racers, seconds to roll back.

    python benchmarks/promotion.py                 all three, about twenty minutes on two busy cores
    python benchmarks/promotion.py --only crashes  (or races, rollback)

Real parts: the ledger on SQLite, an MLflow SQLite store, real packages. Needs 2 GB under --work.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from ftcore.cli._env import quiet_env  # noqa: E402

quiet_env()

from ftcore.ledger import open_ledger  # noqa: E402
from ftcore.registry.promotion import STEPS  # noqa: E402
from ftcore.store import Store  # noqa: E402
from tests.registry.candidates import candidate  # noqa: E402
from tests.registry.harness import (  # noqa: E402
    SPEC,
    Failed,
    check_race,
    crash_points,
    in_child,
    make_mlflow_template,
    make_scene,
    promote_candidate,
    race_round,
)


def crashes(work: Path, template: Path, randoms: int) -> dict[str, object]:
    """Kill the first promotion and a later one at each step, before each durable write, and at random instants."""
    survived: Counter[str] = Counter()
    started = time.monotonic()
    for name, with_champion in (("first promotion", False), ("later promotion", True)):
        folder = work / name.replace(" ", "-")
        os.environ["FTCORE_HOME"] = str(folder / "home")
        scene = make_scene(folder, template, with_champion=with_champion)
        for point in crash_points(scene, STEPS, None, randoms, seed=11):
            survived[f"{name}, {'random instants' if point.startswith('after') else point.split()[0] + 's'}"] += 1
            print(f"  {name}: {point}: ok", flush=True)
    total = sum(survived.values())
    return {"points": dict(survived), "killed_and_recovered": total, "seconds": round(time.monotonic() - started, 1)}


def races(work: Path, template: Path, rounds: int, racers: int) -> dict[str, object]:
    """Promote `racers` candidates at once, `rounds` times over."""
    folder = work / "races"
    os.environ["FTCORE_HOME"] = str(folder / "home")
    make_scene(folder, template, with_champion=True)
    started, won, refused = time.monotonic(), 0, 0
    for number in range(rounds):
        outcomes = race_round(range(100 + number * racers, 100 + (number + 1) * racers))
        faults = check_race(outcomes)
        assert not faults, f"round {number}: {faults}"
        losers = sum(isinstance(outcome, Failed) for outcome in outcomes)
        won, refused = won + len(outcomes) - losers, refused + losers
        print(f"  round {number + 1}: {len(outcomes) - losers} winner, {losers} refused", flush=True)
    return {"rounds": rounds, "racers": racers, "winners": won, "refused_stale": refused,
            "seconds": round(time.monotonic() - started, 1)}  # fmt: skip


def rollback(work: Path, template: Path, repeats: int, megabytes: int) -> dict[str, object]:
    """Wall seconds of `ftcore champion rollback`, a fresh process each time, with a package of realistic size."""
    folder = work / "rollback"
    os.environ["FTCORE_HOME"] = str(folder / "home")
    shutil.copytree(template, folder / "home" / "mlflow")
    os.environ["FTCORE_BENCH_BALLAST_MB"] = str(megabytes)

    def fill() -> None:
        for seed in range(repeats * 2 + 1):
            with open_ledger() as ledger:
                records = candidate(SPEC, Store(), ledger, seed)
            promote_candidate(records)

    assert in_child(fill)[0] == 0
    up = [_timed_rollback({}) for _ in range(repeats)]
    down = [_timed_rollback({"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}) for _ in range(repeats)]
    return {"package_mb": megabytes, "mlflow_up_s": up, "mlflow_down_s": down,
            "median_up_s": statistics.median(up), "median_down_s": statistics.median(down)}  # fmt: skip


def _timed_rollback(extra: dict[str, str]) -> float:
    started = time.monotonic()
    command = [sys.executable, "-m", "ftcore", "champion", "rollback", SPEC.name, "--json"]
    done = subprocess.run(command, env={**os.environ, **extra}, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return round(time.monotonic() - started, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("crashes", "races", "rollback"))
    parser.add_argument("--randoms", type=int, default=25, help="random instants per scene")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--racers", type=int, default=8)
    parser.add_argument("--package-mb", type=int, default=90)
    parser.add_argument("--work", type=Path, help="folder to work in; default: a temporary one, removed at the end")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ftcore-promotion-", dir=options.work) as folder:
        work = Path(folder)
        template = make_mlflow_template(work / "template")
        results: dict[str, object] = {}
        if options.only in (None, "crashes"):
            results["crashes"] = crashes(work, template, options.randoms)
        if options.only in (None, "races"):
            results["races"] = races(work, template, options.rounds, options.racers)
        if options.only in (None, "rollback"):
            results["rollback"] = rollback(work, template, 3, options.package_mb)
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
