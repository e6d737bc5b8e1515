"""The table of methods: what each reaches and what it costs, on the shipped sets and on Banking77. See docs/methods.md.

    FTCORE_BANKING77=/path/to/banking77 python -m benchmarks.methods --render
    python -m benchmarks.methods --only 'banking77_5/*' --only '*/lora'
    python -m benchmarks.methods --smoke --rows 64

Each row is measured in a process of its own, one after the other, with the settings of settings.yaml. A row that results.jsonl
already has with the same settings is not measured again. --smoke takes a few steps on a few rows of the shipped sets and keeps
no result. Ends with 1 if a row broke or a wanted figure was missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.methods.plan import ROOT, Row, chosen, read_plan
from benchmarks.methods.results import RESULTS, Result, is_current, missed, read_results, write_results
from benchmarks.methods.table import render
from ftcore.cli._env import quiet_env

HOME = ROOT / ".ftcore" / "methods"
LOG = HOME / "methods.log"


def measure(arguments: Sequence[str]) -> dict[str, object] | None:
    """What the process printed; None: it broke, or had nothing to print. What it said on the way is in the log."""
    environment = {**os.environ, "FTCORE_HOME": str(HOME)}
    command = [sys.executable, "-m", "benchmarks.methods.measure", *arguments]
    with LOG.open("a", encoding="utf-8") as log:
        log.write(f"\n== {' '.join(arguments)}\n")
        log.flush()
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT, env=environment, check=False
        )
    if done.returncode != 0:
        print(f"{'/'.join(arguments[:2]):<34} broke: see the end of {LOG}", flush=True)
        return None
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {}


def print_row(row: Row, result: Result, seconds: float) -> None:
    """The line of a finished row."""
    more = (
        [f"{result['share_of_teacher']:.1%} of its teacher, {result['speedup']:.2f}x as fast"]
        if "speedup" in result
        else []
    )
    if "minutes" in result:
        more += [
            f"{result['num_trainable']:,} trained, {result['minutes']:.1f} min, {result['peak_mb']:,.0f} MB, "
            f"{result['samples_per_s']:.0f} rows/s"
        ]
    print(
        f"{row.name:<34} {result['metric']} {result['score']:.4f}  {'; '.join(more)}  [{seconds:.0f} s in all]",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", action="append", default=[], metavar="SET/METHOD", help="with * and ?; may be repeated"
    )
    parser.add_argument("--again", action="store_true", help="also what was measured before")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--render", action="store_true", help="then write the table into docs/methods.md")
    parser.add_argument("--list", action="store_true", help="say what was measured; measure nothing")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--rows", type=int, default=64, help="with --smoke: rows of each split")
    options = parser.parse_args()
    quiet_env()  # for the processes that measure, as the ftcore command does
    plan, results = read_plan(), read_results(options.results)
    rows = chosen(plan, options.only)
    if not rows:
        parser.error(f"no row matches {' '.join(options.only)}; rows: {', '.join(row.name for row in plan)}")
    faults = _list(rows, results) if options.list else _measure_all(_to_measure(rows, results, options), plan, options)
    results = read_results(options.results)
    if options.render:
        print("docs/methods.md is written" if render(plan, results) else "docs/methods.md was up to date")
    if not options.smoke:
        faults += [line for row in rows if is_current(row, results) for line in missed(row, results[row.name])]
    for fault in faults:
        print(f"missed: {fault}")
    return 1 if faults else 0


def _list(rows: Sequence[Row], results: Mapping[str, Result]) -> list[str]:
    for row in rows:
        print(f"{row.name:<34} {'measured' if is_current(row, results) else 'to measure'}")
    return []


def _to_measure(rows: Sequence[Row], results: Mapping[str, Result], options: argparse.Namespace) -> list[Row]:
    if options.smoke:  # each method once, on a shipped set
        shipped = [row for row in rows if row.data.data is None]
        return list({row.method: row for row in reversed(shipped)}.values())[::-1]
    if not options.again:
        rows = [row for row in rows if not is_current(row, results)]
    for variable in sorted({row.data.data for row in rows if row.data.data} - os.environ.keys()):
        print(f"{variable} is not set: what is measured on its data is left out.", flush=True)
    return [row for row in rows if row.data.data is None or row.data.data in os.environ]


def _measure_all(rows: Sequence[Row], plan: Sequence[Row], options: argparse.Namespace) -> list[str]:
    """Measure and keep; returns the rows that broke."""
    results = dict(read_results(options.results))
    HOME.mkdir(parents=True, exist_ok=True)
    prepared: dict[str, bool] = {}
    broken = []
    for row in rows:
        started = time.monotonic()
        key = f"{row.data.name} {row.prepare}"
        if key not in prepared:  # in a process of its own: what it loads is no part of a row's memory
            prepared[key] = measure([row.data.name, row.method, "--prepare"]) is not None
        more = ["--rows", str(options.rows)] if options.smoke else []
        found = measure([row.data.name, row.method, *more]) if prepared[key] else None
        if not found:
            broken.append(f"{row.name} broke")
            continue
        print_row(row, found, time.monotonic() - started)
        if not options.smoke:
            results[row.name] = {"row": row.name, "settings": row.digest, **found}
            write_results(results, plan, options.results)
    return broken


if __name__ == "__main__":
    sys.exit(main())
