"""Do intervals and bounds hold the truth as often as they say? On made-up populations whose truth is known.

    python -m benchmarks.coverage                 intervals of one model, 10,000 samples per cell: 25 minutes of a core
    python -m benchmarks.coverage --pairs         bounds of the gate on two models, 1,000 samples per cell: 30 minutes
    python -m benchmarks.coverage --smoke         20 samples: only whether it runs
    python -m benchmarks.coverage --render        and write the table into docs/decision-statistics.md
    python -m benchmarks.coverage --proportions   exactly, of a proportion from 0.9 to 0.99 by three intervals: a second

Each population is large (classification: 60,000 rows, text: 6,000); the truth is the metric on all of it. A sample draws rows, or
whole groups, with replacement, and is scored as `evaluate` scores a holdout, or compared as the gate compares. A share of 10,000
samples near 95 % is itself uncertain by 0.4 points (two standard errors), of 1,000 samples by 1.4 points.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.coverage import paired, single
from benchmarks.coverage.populations import SEED, populations
from benchmarks.coverage.proportions import proportions
from benchmarks.documents import put_between

PAGE = Path(__file__).parents[2] / "docs" / "decision-statistics.md"
Cell = tuple[str, int, bool]


def markers(name: str) -> tuple[str, str]:
    """Around the table of `coverage` or `bounds` on the page."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def _cell(work: Callable[..., Any], name: str, size: int, grouped: bool, samples: int) -> Any:
    population = next(item for item in populations() if item.name == name)
    return work(population, size, grouped, samples)


def measure(work: Callable[..., Any], samples: int, jobs: int) -> dict[Cell, Any]:
    """Every cell, on so many processes."""
    cells = [(population.name, *column) for population in populations() for column in single.COLUMNS]
    with ProcessPoolExecutor(jobs) as pool:
        tasks = {cell: pool.submit(_cell, work, *cell, samples) for cell in cells}
        return {cell: task.result() for cell, task in tasks.items()}


def intervals(samples: int, jobs: int) -> str:
    """The table of intervals of one model, and what it comes to."""
    found = measure(single.coverage, samples, jobs)
    cells = [share for part in found.values() for share in part.values()]
    inside = sum(single.within(share) for share in cells)
    text = single.table(found, {population.name: population.truth() for population in populations()})
    met = "yes" if inside == len(cells) else "no, in bold what is not"
    seen = f"{inside} of {len(cells)} cells from 94.0 to 96.0 % (wanted: all; met: {met})"
    return f"{text}\n\n{samples:,} samples per cell, seed {SEED}; {seen}."


def bounds(samples: int, jobs: int) -> str:
    """The table of the gate's bounds on two models, and what it comes to."""
    found = measure(paired.missed, samples, jobs)
    below = [shares[0] for part in found.values() for shares in part.values()]
    text = paired.table(found, {population.name: paired.true_gains(population) for population in populations()})
    return (
        f"{text}\n\n{samples:,} samples per cell, seed {SEED}. The lower bound is above the truth in {100 * min(below):.1f} to "
        f"{100 * max(below):.1f} %, on average {100 * sum(below) / len(below):.1f} %."
    )


def render(name: str, text: str) -> None:
    """Put a table between its markers on the page."""
    begin, end = markers(name)
    PAGE.write_text(put_between(PAGE.read_text(encoding="utf-8"), begin, text, end), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", action="store_true", help="bounds of the gate on two models")
    parser.add_argument("--smoke", action="store_true", help="20 samples per cell")
    parser.add_argument("--samples", type=int)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--render", action="store_true", help=f"write the table into {PAGE.name}")
    parser.add_argument("--proportions", action="store_true", help="only the exact coverage of a proportion")
    options = parser.parse_args()
    if options.proportions:
        for size in single.SIZES:
            for name, (share, lowest) in proportions(size).items():
                print(
                    f"{size:,} rows, {name}: {100 * share:.0f} % of truths from 94 to 96 %, lowest {100 * lowest:.1f} %"
                )
        return
    started = time.monotonic()
    name, work, samples = ("bounds", bounds, 1_000) if options.pairs else ("coverage", intervals, 10_000)
    text = work(20 if options.smoke else options.samples or samples, options.jobs)
    print(f"{text}\n{time.monotonic() - started:.0f} s.")
    if options.render:
        render(name, text)


if __name__ == "__main__":
    main()
