"""Intervals of one model: how often does a 95 % interval hold the truth?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchmarks.coverage.populations import SEED, Population

SIZES = (300, 1000)
"""Rows of a sample."""
COLUMNS = tuple((size, grouped) for grouped in (False, True) for size in SIZES)
LOW, HIGH = 0.94, 0.96


def coverage(population: Population, size: int, grouped: bool, samples: int) -> dict[str, float]:
    """By metric: the share of samples whose interval holds the truth."""
    truth = population.truth()
    rng = np.random.default_rng(SEED)
    held = dict.fromkeys(truth, 0)
    for _ in range(samples):
        for metric in population.score(*population.draw(rng, size, grouped)):
            held[metric.name] += metric.ci_low <= truth[metric.name] <= metric.ci_high
    return {name: count / samples for name, count in held.items()}


def table(found: Mapping[tuple[str, int, bool], Mapping[str, float]], truths: Mapping[str, Mapping[str, float]]) -> str:
    """Markdown: a line per population and metric, a column per number of rows; cells outside 94 to 96 in bold."""
    lines = ["| population | metric | truth | " + " | ".join(heads()) + " |", "|---|---|---|" + "---|" * len(COLUMNS)]
    for name, truth in truths.items():
        for metric, value in truth.items():
            cells = [_cell(found[name, *column][metric]) for column in COLUMNS]
            lines.append(f"| {name} | {metric} | {value:.3f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def heads() -> list[str]:
    """Of the columns."""
    return [f"{size:,} rows{' in groups' if grouped else ''}" for size, grouped in COLUMNS]


def within(share: float) -> bool:
    """Whether a share is as wanted, to the tenth of a percent that is shown."""
    return LOW <= round(share, 3) <= HIGH


def _cell(share: float) -> str:
    return f"{100 * share:.1f}" if within(share) else f"**{100 * share:.1f}**"
