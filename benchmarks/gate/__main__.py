"""How often the shipped gate decides wrongly, beside simpler rules on the same draws. See docs/decision-statistics.md.

    python -m benchmarks.gate --render              # all, 10 to 20 minutes of one core; writes the tables into the document
    python -m benchmarks.gate --smoke               # a few draws of each, under a minute; a missed target is no error
    python -m benchmarks.gate --only slices --only groups

Every simulation has its own random numbers from --seed and its name, so that it gives the same figures alone and among others.
Ends with 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from benchmarks.gate.decisions import by_rows, few_rows, power, same_model, single
from benchmarks.gate.parts import groups, slice_cost, slice_power, slices
from benchmarks.gate.rare import rare_differences
from benchmarks.gate.report import DOC, Show, render
from benchmarks.gate.scale import FULL, SMOKE, Scale
from benchmarks.gate.series import looks, retrains
from benchmarks.gate.texts import texts

SHOWS: dict[str, Callable[[np.random.Generator, Scale], Show]] = {
    show.__name__: show
    for show in (
        power,
        single,
        by_rows,
        few_rows,
        retrains,
        looks,
        same_model,
        slices,
        slice_cost,
        slice_power,
        groups,
        texts,
        rare_differences,
    )
}


def run(name: str, seed: int, scale: Scale) -> tuple[Show, float]:
    """One simulation, and its seconds of CPU: the machine may have other work."""
    start = time.process_time()
    show = SHOWS[name](np.random.default_rng([seed, zlib.crc32(name.encode())]), scale)
    return show, time.process_time() - start


def run_all(names: Sequence[str], seed: int, scale: Scale, jobs: int) -> Iterator[tuple[Show, float]]:
    """In the order of `names`, on so many processes."""
    if jobs == 1:
        for name in names:
            yield run(name, seed, scale)
    else:
        with ProcessPoolExecutor(jobs) as pool:
            yield from [task.result() for task in [pool.submit(run, name, seed, scale) for name in names]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--smoke", action="store_true", help="a few draws of each")
    parser.add_argument("--only", action="append", choices=SHOWS, default=[], help="one simulation; may be repeated")
    parser.add_argument("--render", action="store_true", help=f"write the tables into {DOC.name}")
    args = parser.parse_args()
    if args.render and args.smoke:
        parser.error("--render takes a full run")
    shows = []
    for show, seconds in run_all(args.only or list(SHOWS), args.seed, SMOKE if args.smoke else FULL, args.jobs):
        print(f"## {show.name} ({seconds:.1f} s of CPU)\n\n{show.text()}\n", flush=True)
        shows.append(show)
        if args.render:
            render([show])
    missed = [target.what for show in shows for target in show.targets if not target.met]
    if missed and not args.smoke:
        print("Missed: " + "; ".join(missed), flush=True)
    return int(bool(missed) and not args.smoke)


if __name__ == "__main__":
    sys.exit(main())
