"""Models that answer nearly all rows alike: a handful of rows decides, and a bootstrap of them is too sure."""

from __future__ import annotations

import numpy as np

from benchmarks.gate.report import Show, at_most, percent
from benchmarks.gate.rules import DEFAULT, verdict
from benchmarks.gate.scale import Scale
from ftcore.evaluation.generation.holdout import TextHoldout
from ftcore.evaluation.rows import Floats

WORSE = 0.005
"""The candidate is truly worse by half a point: as much as `margin` allows, and a point below what `min_gain` asks for."""
_SIZES = {"exact_match": (1.0, 1.0), "rouge_l": (0.2, 1.0)}
"""How much a row that differs is won or lost by: between these."""


def rare_differences(rng: np.random.Generator, scale: Scale) -> Show:
    """Share promoted of candidates that are truly half a point worse, by the share of rows that they win."""
    lines, targets = [], []
    for num_rows in (200, 1_000):
        most = dict.fromkeys(_SIZES, 0)
        for share_won in (0.001, 0.002, 0.005, 0.01):
            passed = {
                metric: sum(_decide(rng, metric, num_rows, share_won) == "PASS" for _ in range(scale.some))
                for metric in _SIZES
            }
            most = {metric: max(count, passed[metric]) for metric, count in most.items()}
            lines.append(
                (f"{num_rows:,}", percent(share_won), *(percent(count / scale.some) for count in passed.values()))
            )
        targets += [
            at_most(f"{metric}, {num_rows:,} rows: a model half a point worse is promoted", 0.05, count, scale.some)
            for metric, count in most.items()
        ]
    about = (
        f"Share promoted of {scale.some:,} candidates that are truly half a point worse; all rows but a few are answered alike, "
        "and of those that are not, exact_match moves by 1, rouge_l by 0.2 to 1."
    )
    return Show("rare_differences", about, ("rows", "won", *_SIZES), tuple(lines), tuple(targets))


def _decide(rng: np.random.Generator, metric: str, num_rows: int, share_won: float) -> str:
    smallest, largest = _SIZES[metric]
    size = rng.uniform(smallest, largest, num_rows)
    share_lost = share_won + WORSE / ((smallest + largest) / 2)
    luck = rng.random(num_rows)
    won, lost = luck < share_won, (luck >= share_won) & (luck < share_won + share_lost)
    statistics = {"candidate": {metric: _rows(won * size)}, "champion": {metric: _rows(lost * size)}}
    holdout = TextHoldout({role: [""] * num_rows for role in statistics}, statistics, num_rows)
    return verdict(DEFAULT.model_copy(update={"metric": metric, "floors": {}}), holdout)


def _rows(scores: Floats) -> Floats:
    """[rows, 2] statistics of a metric that is a mean over rows."""
    return np.stack([scores, np.ones(len(scores))], axis=1)
