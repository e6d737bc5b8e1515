"""What becomes of 300 spoiled data files, and what each costs.

    python benchmarks/hostile.py                       # about 4 minutes on 2 cores
    python benchmarks/hostile.py --only gzip_bomb      # one mutation

Good files (classification as CSV, JSONL and Parquet, conversations as JSONL) are spoiled in known ways, then read, judged and
prepared as the stages do, each in a process of its own. Outcomes: refused with a reason; quarantined (spoiled rows are left out
and counted, all others are as they were); harmless (every row is as it was); checksum (bytes changed into other legal text,
which no reader can see: the manifest of the data version does); silent and traceback must be 0.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.functional.hostile import Outcome, baseline_of, judge, lay
from tests.functional.mutations import Mutation, mutations

OUTCOMES = ("refused", "quarantined", "harmless", "checksum", "silent", "traceback")


def run_apart(mutation: Mutation) -> tuple[Outcome, float]:
    """Outcome and growth of memory in MiB, measured in a process of its own after the good file has gone through it."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            with tempfile.TemporaryDirectory() as folder, os.fdopen(write_end, "w") as pipe:
                baseline_of(mutation.kind)
                case = lay(mutation, Path(folder))
                Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
                before = memory("VmRSS")
                outcome = judge(case)
                json.dump([outcome.what, outcome.why[:300], outcome.seconds, memory("VmHWM") - before], pipe)
            status = 0
        finally:
            os._exit(status)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    if not answer:
        return Outcome("traceback", "the process died", 0.0), 0.0
    what, why, seconds, growth = json.loads(answer)
    return Outcome(what, why, seconds), growth


def memory(field: str) -> float:
    """A line of /proc/self/status in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--only", default="", help="part of a mutation's name")
    parser.add_argument("--verbose", action="store_true", help="one line per file")
    options = parser.parse_args()
    table: dict[str, list[tuple[Outcome, float]]] = defaultdict(list)
    for mutation in mutations(options.count):
        if options.only in str(mutation):
            table[mutation.name].append(run_apart(mutation))
            outcome, growth = table[mutation.name][-1]
            if options.verbose or outcome.what in ("silent", "traceback"):
                print(f"{mutation}: {outcome.what} {outcome.seconds:.2f} s {growth:.0f} MiB: {outcome.why}", flush=True)
    print(f"{'mutation':<36}{'n':>4}" + "".join(f"{name:>12}" for name in OUTCOMES) + f"{'max s':>8}{'max MiB':>9}")
    for name, results in table.items():
        print(row(name, results))
    every = [result for results in table.values() for result in results]
    print(row("all", every))
    return int(any(outcome.what in ("silent", "traceback") for outcome, _ in every))


def row(name: str, results: list[tuple[Outcome, float]]) -> str:
    counts = "".join(f"{sum(outcome.what == what for outcome, _ in results):>12}" for what in OUTCOMES)
    seconds = max((outcome.seconds for outcome, _ in results), default=0.0)
    growth = max((growth for _, growth in results), default=0.0)
    return f"{name:<36}{len(results):>4}{counts}{seconds:>8.2f}{growth:>9.0f}"


if __name__ == "__main__":
    raise SystemExit(main())
