"""Many decisions in a row: fifty retrains, and fifty candidates on one test."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.gate.draws import ACCURACY, Bench, holdout_of_right
from benchmarks.gate.report import Show, Target, percent, points
from benchmarks.gate.rules import DEFAULT, RULES, STRICT, at_look, shipped
from benchmarks.gate.scale import Scale
from ftcore.evaluation.gate.looks import fresh_share_needed, look_at
from ftcore.evaluation.rows import Holdout

RETRAINS, NUM_ROWS = 50, 2000
NOISE = 0.01
"""Standard deviation of a retrain's true accuracy."""
PROGRESS = 0.002
"""Per retrain, where there is progress."""
FEEDBACK_ROWS = 100
"""Fresh rows that take the place of old ones before each retrain, where feedback comes in."""
REGIMES = (
    ("none", 0.0, FEEDBACK_ROWS),
    ("+0.2 points each", PROGRESS, FEEDBACK_ROWS),
    ("none; rows change only when worn out", 0.0, 0),
)
"""Progress in words, per retrain, and fresh rows before each."""
MAX_DECISIONS = DEFAULT.max_decisions
SERIES_RULES: dict[str, Callable[[Holdout, int], bool]] = {
    "new >= old": lambda holdout, look: RULES["new >= old"](holdout),
    "new >= old + 1 point": lambda holdout, look: RULES["new >= old + 1 point"](holdout),
    "gate, looks not counted": lambda holdout, look: shipped(DEFAULT, holdout),
    "gate": lambda holdout, look: shipped(at_look(DEFAULT, look), holdout),
    "gate, strict": lambda holdout, look: shipped(at_look(STRICT, look), holdout),
}
"""By name: whether the candidate is promoted, given which decision on these rows it is (from 1)."""


@dataclass
class Line:
    """What one rule did in all runs."""

    promotions: int = 0
    worse: int = 0
    much_worse: int = 0
    """More than 1 point below the champion they replaced."""
    gains: int = 0
    """Candidates truly 2 points or more above the champion."""
    missed: int = 0
    final: list[float] = field(default_factory=list)

    def count(self, gain: float, promoted: bool) -> None:
        self.promotions += promoted
        self.worse += promoted and gain < 0
        self.much_worse += promoted and gain < -0.01
        self.gains += gain >= 0.02
        self.missed += gain >= 0.02 and not promoted

    def cells(self, runs: int) -> tuple[str, ...]:
        counts = (f"{number / runs:.3f}" for number in (self.promotions, self.worse, self.much_worse))
        missed = percent(self.missed / self.gains) if self.gains else "-"
        return (*counts, missed, percent(float(np.mean(self.final))))


def first_row(starts: Sequence[int], num_fresh: int) -> tuple[int, int]:
    """Where the next holdout starts in a long row of rows, and which look it is, as `ftcore` counts it.

    Args:
        starts: Of the holdouts decided on before.
        num_fresh: Rows that are replaced anyway. Where the budget of decisions is spent, as many as it takes are.
    """
    start = starts[-1] + num_fresh if starts else 0
    look = look_at(_shares(starts, start))
    if look > MAX_DECISIONS:
        start += math.ceil(fresh_share_needed(look, MAX_DECISIONS) * NUM_ROWS)
        look = look_at(_shares(starts, start))
    return start, look


def _shares(starts: Sequence[int], start: int) -> list[float]:
    return [max(0.0, 1 - (start - earlier) / NUM_ROWS) for earlier in starts]


def retrain(seed: int, progress: float, num_fresh: int, lines: dict[str, Line]) -> None:
    """One series. All rules see the same candidates and rows; each has its own champion."""
    rng = np.random.default_rng(seed)
    steps = np.arange(RETRAINS + 1)
    accuracies = np.minimum(0.99, ACCURACY + progress * steps + NOISE * rng.standard_normal(len(steps)) * (steps > 0))
    bench = Bench.fresh(rng, NUM_ROWS + RETRAINS * FEEDBACK_ROWS)
    right = [bench.right(rng, float(accuracy)) for accuracy in accuracies]  # of each model, on all rows there will be
    champions, starts = dict.fromkeys(SERIES_RULES, 0), list[int]()
    for candidate in range(1, RETRAINS + 1):
        start, look = first_row(starts, num_fresh)
        starts.append(start)
        rows = slice(start, start + NUM_ROWS)
        for name, rule in SERIES_RULES.items():
            champion = champions[name]
            targets = np.random.default_rng([seed, candidate, 2])  # the same for every rule
            promoted = rule(holdout_of_right(targets, right[candidate][rows], right[champion][rows]), look)
            lines[name].count(accuracies[candidate] - accuracies[champion], promoted)
            if promoted:
                champions[name] = candidate
    for name, champion in champions.items():
        lines[name].final.append(float(accuracies[champion]))


def retrains(rng: np.random.Generator, scale: Scale) -> Show:
    """Fifty retrains, without and with progress."""
    rows, targets = [], []
    first = int(rng.integers(1 << 30))
    for title, progress, num_fresh in REGIMES:
        lines = {name: Line() for name in SERIES_RULES}
        for run in range(scale.runs):
            retrain(first + run, progress, num_fresh, lines)
        rows += [(title, name, *line.cells(scale.runs)) for name, line in lines.items()]
        for name in ("gate", "gate, strict"):
            seen = lines[name].much_worse / scale.runs
            what = f"50 retrains, progress {title}, {name}: promotions of a model over 1 point worse"
            targets.append(Target(what, "at most 0.02 on average", f"{seen:.3f}", seen <= 0.02))
    head = (
        "progress", "rule", "promotions", "of worse models", "of over 1 point worse", "missed gains of 2 points", "final accuracy"
    )  # fmt: skip
    about = (
        f"Mean of {scale.runs:,} series of 50 retrains. A candidate's true accuracy is the line (80 %, with progress rising) "
        f"plus a normal error of 1 point; the champion starts at 80 %. {NUM_ROWS:,} rows, of which feedback replaces "
        f"{FEEDBACK_ROWS} before each retrain; in the last series none, until {MAX_DECISIONS} decisions have worn them out, and "
        "then as many as the next one takes. Looks are counted as the product counts them."
    )
    return Show("retrains", about, head, tuple(rows), tuple(targets))


def looks(rng: np.random.Generator, scale: Scale) -> Show:
    """Many models that are all worse, on the same rows: what counting the decisions is for."""
    times, num_models = max(10, scale.some // 5), 20
    rows = []
    for effect in (-0.005, -0.01):
        fooled = dict.fromkeys(SERIES_RULES, 0)
        for _ in range(times):
            bench = Bench.fresh(rng, NUM_ROWS)
            old = bench.right(rng, ACCURACY)
            holdouts = [holdout_of_right(rng, bench.right(rng, ACCURACY + effect), old) for _ in range(num_models)]
            for name, rule in SERIES_RULES.items():
                fooled[name] += any(rule(holdout, look) for look, holdout in enumerate(holdouts, start=1))
        rows.append((points(effect), *(percent(count / times) for count in fooled.values())))
    about = f"Share of {times:,} tests of 2,000 rows on which at least one of {num_models} such models is promoted."
    return Show("looks", about, ("true difference of all", *SERIES_RULES), tuple(rows))
