"""How often do 95 % intervals hold the truth? Every metric of a model, on made-up populations whose truth is known.

    python -m benchmarks.coverage                 10,000 samples per cell
    python -m benchmarks.coverage --smoke         200 samples: only whether it runs
    python -m benchmarks.coverage --render        and write the table into docs/decision-statistics.md
    python -m benchmarks.coverage --proportions   exactly, of a proportion from 0.9 to 0.99 by three intervals: a second

Each population is large (classification: 60,000 rows, text: 6,000); the truth is the metric on all of it. A sample draws rows, or
whole groups, with replacement, and is scored as `evaluate` scores a holdout. A cell is the share of samples whose interval holds
the truth; of 10,000 samples such a share is itself uncertain by 0.4 points (two standard errors).
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.stats import beta, binom

from benchmarks.documents import put_between
from ftcore.evaluation.classification import metrics as classes
from ftcore.evaluation.generation import metrics as texts
from ftcore.evaluation.generation.holdout import Reply, TextHoldout, text_holdout
from ftcore.evaluation.rows import Holdout, Ints, Probabilities
from ftcore.evaluation.statistics.intervals import jeffreys, wilson
from ftcore.records import Metric

PAGE = Path(__file__).parents[1] / "docs" / "decision-statistics.md"
BEGIN, END = "<!-- coverage: begin -->", "<!-- coverage: end -->"
SEED = 20_261
SIZES = (300, 1000)
"""Rows of a sample."""
SHARES = (0.4, 0.25, 0.2, 0.1, 0.05)
"""Of the classes."""
ONE_RARE = (0.7, 0.25, 0.05)
"""Of the classes of the population that no interval was chosen on."""
GROUP_SIZES = (2, 7)
"""Rows of a group: from, up to (without)."""


@dataclass(frozen=True)
class Population:
    """Rows to draw from, and how a sample of them is scored."""

    name: str
    groups: list[Ints]
    """Rows of each group."""
    num_rows: int
    score: Callable[[Ints, Ints | None], tuple[Metric, ...]]
    """Rows and their groups to metrics."""

    def truth(self) -> dict[str, float]:
        return {metric.name: metric.value for metric in self.score(np.arange(self.num_rows), None)}

    def sample(self, rng: np.random.Generator, size: int, grouped: bool) -> tuple[Metric, ...]:
        """Metrics of `size` rows, or of whole groups with about as many."""
        if not grouped:
            return self.score(rng.integers(0, self.num_rows, size), None)
        mean = self.num_rows / len(self.groups)
        drawn = [self.groups[number] for number in rng.integers(0, len(self.groups), round(size / mean))]
        codes = np.repeat(np.arange(len(drawn)), [len(rows) for rows in drawn])
        return self.score(np.concatenate(drawn), codes)


def group_rows(rng: np.random.Generator, num_rows: int) -> tuple[list[Ints], Ints]:
    """Neighbouring rows as groups of 2 to 6, and the group of each row."""
    sizes = rng.integers(*GROUP_SIZES, num_rows)
    ends = np.cumsum(sizes)
    ends = np.append(ends[ends < num_rows], num_rows)
    starts = np.append(0, ends[:-1])
    groups = [np.arange(start, end) for start, end in zip(starts, ends, strict=True)]
    return groups, np.repeat(np.arange(len(groups)), ends - starts)


def classifier(
    name: str,
    num_classes: int,
    sharpness: float,
    signal: float = 1.5,
    num_rows: int = 60_000,
    of_classes: tuple[float, ...] = SHARES,
) -> Population:
    """Rows of a group share their class and are hard together; a strong signal makes for few errors.

    Probabilities are right at sharpness 1, and too sure above.
    """
    rng = np.random.default_rng(SEED)
    groups, owner = group_rows(rng, num_rows)
    shares = np.array(of_classes[:num_classes]) / sum(of_classes[:num_classes])
    own = rng.choice(num_classes, len(groups), p=shares)[owner]
    logits = 0.9 * rng.normal(size=(len(groups), num_classes))[owner] + 1.6 * rng.normal(size=(num_rows, num_classes))
    logits += np.log(shares) + signal * np.eye(num_classes)[own]
    logits *= rng.uniform(0.4, 1.6, (len(groups), 1))[owner]  # hard groups and easy ones
    truth = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    target = (truth.cumsum(axis=1) < rng.random((num_rows, 1))).sum(axis=1).clip(max=num_classes - 1)
    said = np.exp(logits * sharpness)
    values = said / said.sum(axis=1, keepdims=True)
    holdout = Holdout(
        tuple(f"c{code}" for code in range(num_classes)), target, {"candidate": values.argmax(axis=1)},
        probabilities={"candidate": Probabilities(values, target)},
    )  # fmt: skip

    def score(rows: Ints, codes: Ints | None) -> tuple[Metric, ...]:
        part = replace(
            holdout, target=target[rows], predictions={"candidate": holdout.predictions["candidate"][rows]}, groups=codes,
            probabilities={"candidate": Probabilities(values[rows], target[rows])},
        )  # fmt: skip
        return classes.score(part, "candidate")

    return Population(name, groups, num_rows, score)


def writer(num_rows: int = 6_000) -> Population:
    """Answers in which words of the reference are lost, changed or added; a group has one rate of errors."""
    rng, picks = np.random.default_rng(SEED), random.Random(SEED)
    groups, owner = group_rows(rng, num_rows)
    words = [f"{picks.choice('bdfgklmnprst')}{picks.choice('aeiou')}{picks.choice('bdgklmnrst')}{end}"
             for _ in range(60) for end in ("", "e", "ing", "ed")]  # fmt: skip
    targets = [" ".join(picks.choices(words, k=picks.randint(3, 14))) + "." for _ in range(num_rows)]
    rates = rng.beta(1, 3, len(groups))[owner]
    answers = [_worse(target, rate, words, picks) for target, rate in zip(targets, rates, strict=True)]
    tokens = np.array([len(target.split()) + 1.0 for target in targets])
    nll = tokens * (0.4 + 2 * rates) * rng.gamma(4, 0.25, num_rows)
    valid = np.array([float(answer.count("a") < 3) for answer in answers])
    full = text_holdout(targets, {"candidate": Reply(answers, nll, tokens, {"format_valid": valid})}, None)

    def score(rows: Ints, codes: Ints | None) -> tuple[Metric, ...]:
        return texts.score(_part(full, rows, codes), "candidate")

    return Population("written answers", groups, num_rows, score)


def _part(full: TextHoldout, rows: Ints, codes: Ints | None) -> TextHoldout:
    statistics = {"candidate": {name: found[rows] for name, found in full.statistics["candidate"].items()}}
    return TextHoldout({"candidate": ()}, statistics, len(rows), codes)


def _worse(target: str, rate: float, words: list[str], picks: random.Random) -> str:
    kept = []
    for word in target.split():
        draw = picks.random()
        kept += [word] if draw > rate else [] if draw < rate / 3 else [picks.choice(words)]
    return " ".join(kept)


def coverage(population: Population, size: int, grouped: bool, samples: int) -> dict[str, float]:
    """By metric: the share of samples whose interval holds the truth."""
    truth = population.truth()
    rng = np.random.default_rng(SEED)
    held = dict.fromkeys(truth, 0)
    for _ in range(samples):
        for metric in population.sample(rng, size, grouped):
            held[metric.name] += metric.ci_low <= truth[metric.name] <= metric.ci_high
    return {name: count / samples for name, count in held.items()}


def proportions(num_rows: int) -> dict[str, tuple[float, float]]:
    """By interval: share of truths from 0.9 to 0.99 that it holds in 94 to 96 % of samples, and in how many at least; exactly."""
    right, truths = np.arange(num_rows + 1.0), np.linspace(0.9, 0.99, 901)
    wrong = num_rows - right
    limits = {
        "Wilson": np.array([wilson(count, num_rows) for count in right]).T,
        "Jeffreys": np.stack(jeffreys(right, np.full(num_rows + 1, float(num_rows)))),
        "Clopper-Pearson": np.stack([
            np.where(right > 0, beta.ppf(0.025, right, wrong + 1), 0.0),
            np.where(wrong > 0, beta.ppf(0.975, right + 1, wrong), 1.0),
        ]),
    }  # fmt: skip
    chances = binom.pmf(right, num_rows, truths[:, None])
    found = {}
    for name, (low, high) in limits.items():
        held = (chances * ((low <= truths[:, None]) & (truths[:, None] <= high))).sum(axis=1)
        found[name] = float(((held >= 0.94) & (held <= 0.96)).mean()), float(held.min())
    return found


def table(found: Mapping[tuple[str, int, bool], Mapping[str, float]], truths: Mapping[str, Mapping[str, float]]) -> str:
    """Markdown: a line per population and metric, a column per number of rows."""
    columns = [(size, grouped) for grouped in (False, True) for size in SIZES]
    heads = [f"{size:,} rows{' in groups' if grouped else ''}" for size, grouped in columns]
    lines = ["| population | metric | truth | " + " | ".join(heads) + " |", "|---|---|---|" + "---|" * len(columns)]
    for name, truth in truths.items():
        for metric, value in truth.items():
            cells = [f"{100 * found[name, *column][metric]:.1f}" for column in columns]
            lines.append(f"| {name} | {metric} | {value:.3f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def render(text: str) -> None:
    """Put the table between its markers on the page."""
    PAGE.write_text(put_between(PAGE.read_text(encoding="utf-8"), BEGIN, text, END), encoding="utf-8")


def populations() -> tuple[Population, ...]:
    return (
        classifier("5 classes, too sure", 5, 1.6),
        classifier("2 classes, calibrated", 2, 1.0),
        classifier("5 classes, few errors", 5, 1.0, signal=7.0),
        classifier("3 classes, one rare", 3, 1.0, signal=5.0, of_classes=ONE_RARE),
        writer(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="200 samples per cell")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--render", action="store_true", help=f"write the table into {PAGE.name}")
    parser.add_argument("--proportions", action="store_true", help="only the exact coverage of a proportion")
    options = parser.parse_args()
    if options.proportions:
        for size in SIZES:
            for name, (share, lowest) in proportions(size).items():
                print(
                    f"{size:,} rows, {name}: {100 * share:.0f} % of truths from 94 to 96 %, lowest {100 * lowest:.1f} %"
                )
        return
    started, samples = time.monotonic(), 200 if options.smoke else options.samples
    found, truths = {}, {}
    for population in populations():
        truths[population.name] = population.truth()
        for size in SIZES:
            for grouped in (False, True):
                found[population.name, size, grouped] = coverage(population, size, grouped, samples)
    cells = [share for part in found.values() for share in part.values()]
    inside = sum(0.94 <= share <= 0.96 for share in cells)
    text = table(found, truths)
    summary = f"{samples:,} samples per cell, seed {SEED}; {inside} of {len(cells)} cells from 94.0 to 96.0 %."
    print(f"{text}\n\n{summary} {time.monotonic() - started:.0f} s.")
    if options.render:
        render(f"{text}\n\n{summary}")


if __name__ == "__main__":
    main()
