"""Seconds that `ftcore compare` takes on two prediction files, beside pandas and scipy on the same files.

    python benchmarks/compare.py                # 10,000 and 1,000,000 rows, CSV
    python benchmarks/compare.py --jsonl --rows 100000

The files have 20 labels and a slice column of 8 values; the candidate's rows are in another order. Whole commands are timed,
imports included. The peer reads, joins by id and prints the difference with an exact McNemar p: no intervals, slices or checks.
Ends with 1 if 10,000 rows take over 2 s, or a million over 30 s (CSV).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

LIMITS = {10_000: 2.0, 1_000_000: 30.0}
PEER = """
import sys
import pandas as pd
from scipy.stats import binomtest
read = pd.read_csv if sys.argv[1].endswith(".csv") else lambda path: pd.read_json(path, lines=True)
both = read(sys.argv[1]).merge(read(sys.argv[2])[["id", "prediction"]], on="id", suffixes=("_old", "_new"))
old, new = both.prediction_old == both.target, both.prediction_new == both.target
won, lost = int((new & ~old).sum()), int((old & ~new).sum())
print(f"{new.mean() - old.mean():+.4f}", binomtest(won, won + lost, 0.5, alternative="greater").pvalue)
"""


def write_files(folder: Path, num_rows: int, suffix: str, seed: int) -> tuple[Path, Path]:
    """Champion (80 % right) and candidate (82 %)."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 20, num_rows)
    paths = []
    for role, accuracy in (("champion", 0.79), ("candidate", 0.81)):
        predicted = np.where(rng.random(num_rows) < accuracy, target, rng.integers(0, 20, num_rows))
        order = np.arange(num_rows) if role == "champion" else rng.permutation(num_rows)
        paths.append(folder / f"{role}{suffix}")
        with paths[-1].open("w", encoding="utf-8") as file:
            if suffix == ".csv":
                file.write("id,target,prediction,slice\n")
            for row in order.tolist():
                cells = (f"row-{row}", f"label {target[row]}", f"label {predicted[row]}", f"s{row % 8}")
                names = ("id", "target", "prediction", "slice")
                file.write(
                    (",".join(cells) if suffix == ".csv" else json.dumps(dict(zip(names, cells, strict=True)))) + "\n"
                )
    return paths[0], paths[1]


def seconds_of(command: list[str], repeats: int) -> tuple[float, float]:
    """By the clock and of CPU: the fastest of some runs, each a process of its own. On a busy machine only CPU compares."""
    found = []
    for _ in range(repeats):
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        found.append((time.perf_counter() - start, cpu))
    return min(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, action="append", default=[])
    parser.add_argument("--jsonl", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    slow = False
    print("rows          ftcore compare: clock, CPU   pandas and scipy: clock, CPU   ratio of CPU")
    for num_rows in args.rows or sorted(LIMITS):
        with tempfile.TemporaryDirectory() as folder:
            champion, candidate = write_files(Path(folder), num_rows, ".jsonl" if args.jsonl else ".csv", args.seed)
            ftcore = [sys.executable, "-c", "from ftcore.cli import main; main()", "compare"]
            ours = seconds_of([*ftcore, "--champion", str(champion), "--candidate", str(candidate)], args.repeats)
            peers = seconds_of([sys.executable, "-c", PEER, str(champion), str(candidate)], args.repeats)
        cells = [f"{clock:12.2f} s {cpu:8.2f} s" for clock, cpu in (ours, peers)]
        print(f"{num_rows:<12,}  {cells[0]}       {cells[1]}         {ours[1] / peers[1]:6.2f}", flush=True)
        slow = slow or (not args.jsonl and ours[0] > LIMITS.get(num_rows, float("inf")))
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
