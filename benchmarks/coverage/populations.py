"""Made-up populations to draw holdouts from: a classifier's rows, and written answers, of a candidate and a champion."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import numpy as np

from ftcore.evaluation.classification import metrics as classes
from ftcore.evaluation.gate.measures import AnyHoldout
from ftcore.evaluation.generation import metrics as texts
from ftcore.evaluation.generation.holdout import Reply, TextHoldout, text_holdout
from ftcore.evaluation.rows import Floats, Holdout, Ints, Probabilities
from ftcore.records import Metric

SEED = 20_261
SHARES = (0.4, 0.25, 0.2, 0.1, 0.05)
"""Of the classes."""
ONE_RARE = (0.7, 0.25, 0.05)
"""Of the classes of the population that no interval was chosen on."""
BLUR = 0.7
"""Standard deviation of what the champion's logits lack."""
GROUP_SIZES = (2, 7)
"""Rows of a group: from, up to (without)."""


@dataclass(frozen=True)
class Population:
    """Rows to draw from."""

    name: str
    groups: list[Ints]
    """Rows of each group."""
    full: AnyHoldout
    """Every row, with the answers of candidate and champion."""

    def part(self, rows: Ints, codes: Ints | None) -> AnyHoldout:
        """Some rows as a holdout, in these groups."""
        return part_of(self.full, rows, codes)

    def score(self, rows: Ints, codes: Ints | None, role: str = "candidate") -> tuple[Metric, ...]:
        """Rows and their groups to metrics, as `evaluate` scores a holdout."""
        part = self.part(rows, codes)
        return texts.score(part, role) if isinstance(part, TextHoldout) else classes.score(part, role)

    def truth(self, role: str = "candidate") -> dict[str, float]:
        return {metric.name: metric.value for metric in self.score(np.arange(self.full.num_rows), None, role)}

    def draw(self, rng: np.random.Generator, size: int, grouped: bool) -> tuple[Ints, Ints | None]:
        """`size` rows, or whole groups with about as many, and the group of each."""
        if not grouped:
            return rng.integers(0, self.full.num_rows, size), None
        mean = self.full.num_rows / len(self.groups)
        drawn = [self.groups[number] for number in rng.integers(0, len(self.groups), round(size / mean))]
        codes = np.repeat(np.arange(len(drawn)), [len(rows) for rows in drawn])
        return np.concatenate(drawn), codes


def part_of(full: AnyHoldout, rows: Ints, codes: Ints | None) -> AnyHoldout:
    """Some rows of a holdout, in these groups."""
    if isinstance(full, TextHoldout):
        statistics = {
            role: {name: found[rows] for name, found in known.items()} for role, known in full.statistics.items()
        }
        return TextHoldout(dict.fromkeys(statistics, ()), statistics, len(rows), codes)
    target = full.target[rows]
    return replace(
        full, target=target, predictions={role: said[rows] for role, said in full.predictions.items()}, groups=codes,
        probabilities={
            role: Probabilities(said.values[rows], target) for role, said in full.probabilities.items()
        },
    )  # fmt: skip


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

    Probabilities are right at sharpness 1, and too sure above. The champion sees the same, a little blurred.
    """
    rng = np.random.default_rng(SEED)
    groups, owner = group_rows(rng, num_rows)
    shares = np.array(of_classes[:num_classes]) / sum(of_classes[:num_classes])
    own = rng.choice(num_classes, len(groups), p=shares)[owner]
    logits = 0.9 * rng.normal(size=(len(groups), num_classes))[owner] + 1.6 * rng.normal(size=(num_rows, num_classes))
    logits += np.log(shares) + signal * np.eye(num_classes)[own]
    logits *= rng.uniform(0.4, 1.6, (len(groups), 1))[owner]  # hard groups and easy ones
    truth = _softmax(logits)
    target = (truth.cumsum(axis=1) < rng.random((num_rows, 1))).sum(axis=1).clip(max=num_classes - 1)
    blurred = logits + BLUR * rng.normal(size=logits.shape)
    said = {"candidate": _softmax(logits * sharpness), "champion": _softmax(blurred * sharpness)}
    full = Holdout(
        tuple(f"c{code}" for code in range(num_classes)), target,
        {role: values.argmax(axis=1) for role, values in said.items()},
        probabilities={role: Probabilities(values, target) for role, values in said.items()},
    )  # fmt: skip
    return Population(name, groups, full)


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits)
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares


def writer(num_rows: int = 6_000) -> Population:
    """Answers in which words of the reference are lost, changed or added; a group has one rate of errors.

    The champion gives half of the answers of the candidate, and others of the same rates for the rest.
    """
    rng, picks = np.random.default_rng(SEED), random.Random(SEED)
    groups, owner = group_rows(rng, num_rows)
    words = [f"{picks.choice('bdfgklmnprst')}{picks.choice('aeiou')}{picks.choice('bdgklmnrst')}{end}"
             for _ in range(60) for end in ("", "e", "ing", "ed")]  # fmt: skip
    targets = [" ".join(picks.choices(words, k=picks.randint(3, 14))) + "." for _ in range(num_rows)]
    rates = rng.beta(1, 3, len(groups))[owner]
    answers = [_worse(target, rate, words, picks) for target, rate in zip(targets, rates, strict=True)]
    tokens = np.array([len(target.split()) + 1.0 for target in targets])
    nll = tokens * (0.4 + 2 * rates) * rng.gamma(4, 0.25, num_rows)
    alike = rng.random(num_rows) < 0.5
    others = [
        answer if same else _worse(target, rate, words, picks)
        for same, answer, target, rate in zip(alike, answers, targets, rates, strict=True)
    ]
    other_nll = np.where(alike, nll, tokens * (0.4 + 2 * rates) * rng.gamma(4, 0.25, num_rows))
    full = text_holdout(
        targets,
        {"candidate": _reply(answers, nll, tokens), "champion": _reply(others, other_nll, tokens)},
        None,
    )
    return Population("written answers", groups, full)


def _reply(answers: list[str], nll: Floats, tokens: Floats) -> Reply:
    return Reply(answers, nll, tokens, {"format_valid": np.array([float(answer.count("a") < 3) for answer in answers])})


def _worse(target: str, rate: float, words: list[str], picks: random.Random) -> str:
    kept = []
    for word in target.split():
        draw = picks.random()
        kept += [word] if draw > rate else [] if draw < rate / 3 else [picks.choice(words)]
    return " ".join(kept)


def populations() -> tuple[Population, ...]:
    return (
        classifier("5 classes, too sure", 5, 1.6),
        classifier("2 classes, calibrated", 2, 1.0),
        classifier("5 classes, few errors", 5, 1.0, signal=7.0),
        classifier("3 classes, one rare", 3, 1.0, signal=5.0, of_classes=ONE_RARE),
        writer(),
    )
