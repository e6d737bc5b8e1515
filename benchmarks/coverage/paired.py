"""Bounds of the gate: how often is the true difference of two models below the lower one, or above the upper one?

Each is a one-sided bound at 95 %, so either should happen in 5 of 100 holdouts. The lower one decides a promotion. p-values,
which are no part of it and take half of the time, are left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from unittest.mock import patch

import numpy as np

from benchmarks.coverage.populations import SEED, Population
from benchmarks.coverage.single import COLUMNS, heads
from ftcore.evaluation.gate.measures import difference
from ftcore.evaluation.statistics import differences
from ftcore.records import LOWER_IS_BETTER

ALPHA = 0.05
LABEL_METRICS = ("accuracy", "macro_f1", "macro_recall", "brier", "roc_auc")
TEXT_METRICS = ("chrf", "bleu", "rouge_l", "exact_match")
Missed = tuple[float, float]
"""Shares of samples: truth below the lower bound, and above the upper one."""


def metrics_of(population: Population) -> tuple[str, ...]:
    """Those whose bounds are drawn: resampling takes most of the time, and the others are made alike."""
    return TEXT_METRICS if "chrf" in population.truth() else LABEL_METRICS


def true_gains(population: Population) -> dict[str, float]:
    """By metric: candidate minus champion on the whole population; where less is better, champion minus candidate."""
    ours, theirs = population.truth(), population.truth("champion")
    gains = {name: ours[name] - theirs[name] for name in metrics_of(population)}
    return {name: -gain if name in LOWER_IS_BETTER else gain for name, gain in gains.items()}


def missed(population: Population, size: int, grouped: bool, samples: int) -> dict[str, Missed]:
    """By metric, as the gate compares two models."""
    with patch.object(differences, "swap_p_value", return_value=math.nan):
        return _missed(population, size, grouped, samples)


def _missed(population: Population, size: int, grouped: bool, samples: int) -> dict[str, Missed]:
    gains = true_gains(population)
    rng = np.random.default_rng(SEED)
    counts = {name: [0, 0] for name in gains}
    for _ in range(samples):
        part = population.part(*population.draw(rng, size, grouped))
        for name, gain in gains.items():
            found = difference(part, name, "champion", ALPHA)
            found = found.mirrored() if name in LOWER_IS_BETTER else found
            counts[name][0] += gain < found.lower
            counts[name][1] += gain > found.upper
    return {name: (below / samples, above / samples) for name, (below, above) in counts.items()}


def table(found: Mapping[tuple[str, int, bool], Mapping[str, Missed]], gains: Mapping[str, Mapping[str, float]]) -> str:
    """Markdown: a line per population and metric, a column per number of rows."""
    lines = [
        "| population | metric | true gain | " + " | ".join(heads()) + " |",
        "|---|---|---|" + "---|" * len(COLUMNS),
    ]
    for name, metrics in gains.items():
        for metric, gain in metrics.items():
            cells = [
                "{:.1f} / {:.1f}".format(*(100 * share for share in found[name, *column][metric])) for column in COLUMNS
            ]
            lines.append(f"| {name} | {metric} | {100 * gain:+.1f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
