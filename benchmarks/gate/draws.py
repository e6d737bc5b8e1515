"""Made-up holdouts with a known truth: how much better the candidate really is, with which rows and groups.

Unless told otherwise the champion is right on 80 % of the rows, and exactly one of both models is right on 12 % (discordance).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from ftcore.evaluation.rows import Column, Floats, Holdout, Ints

ACCURACY = 0.8
DISCORDANCE = 0.12
_NORMAL = NormalDist()
Bools = np.ndarray


def paired(rng: np.random.Generator, num_rows: int, difference: float, discordance: float = DISCORDANCE) -> Holdout:
    """Independent rows. A discordance that the difference cannot have becomes the difference and 4 points."""
    return _holdout(rng, *_outcomes(rng, np.full(num_rows, difference), discordance))


def sliced(
    rng: np.random.Generator, sizes: Sequence[int], differences: Sequence[float], discordance: float = DISCORDANCE
) -> Holdout:
    """Slices of one column, each with its own size and true difference."""
    owner = np.repeat(np.arange(len(sizes)), sizes)
    column = Column(tuple(f"s{number}" for number in range(len(sizes))), owner.astype(np.int64))
    won, lost = _outcomes(rng, np.asarray(differences, dtype=float)[owner], discordance)
    return _holdout(rng, won, lost, slices={"source": column})


def grouped(rng: np.random.Generator, num_groups: int, size: int, difference: float) -> Holdout:
    """Rows of one source go together: one group in five is where the models differ, on 60 % of its rows, nine times in ten
    in the same direction. Correlation of two wins in a group: about 0.6 x 0.9 squared = 0.49."""
    groups = np.repeat(np.arange(num_groups), size)
    up = (1 + difference / DISCORDANCE) / 2
    differs = (rng.random(num_groups) < DISCORDANCE / 0.6)[groups] & (rng.random(len(groups)) < 0.6)
    together = (rng.random(num_groups) < up)[groups]
    alone = rng.random(len(groups)) < up
    better = np.where(rng.random(len(groups)) < 0.9, together, alone)
    return _holdout(rng, differs & better, differs & ~better, groups=groups.astype(np.int64))


def _outcomes(rng: np.random.Generator, differences: Floats, discordance: float) -> tuple[Bools, Bools]:
    """[rows] won and [rows] lost."""
    wanted = np.where(np.abs(differences) > discordance, np.abs(differences) + 0.04, discordance)
    up, roll = (wanted + differences) / 2, rng.random(len(differences))
    return roll < up, (roll >= up) & (roll < wanted)


def _holdout(
    rng: np.random.Generator,
    won: Bools,
    lost: Bools,
    groups: Ints | None = None,
    slices: dict[str, Column] | None = None,
) -> Holdout:
    """Two classes; on the rows where both are right or both wrong, right so often that the champion comes to 80 %."""
    share = np.clip((ACCURACY - lost.mean()) / max(1 - (won | lost).mean(), 1e-9), 0, 1)
    both = ~(won | lost) & (rng.random(len(won)) < share)
    return holdout_of_right(rng, won | both, lost | both, groups, slices)


def holdout_of_right(
    rng: np.random.Generator,
    candidate: Bools,
    champion: Bools,
    groups: Ints | None = None,
    slices: dict[str, Column] | None = None,
) -> Holdout:
    """Two classes at random, and each model right where it is said to be."""
    target = rng.integers(0, 2, len(candidate))
    predictions = {
        role: np.where(right, target, 1 - target) for role, right in (("candidate", candidate), ("champion", champion))
    }
    return Holdout(("no", "yes"), target, predictions, groups, slices)


def with_columns(rng: np.random.Generator, holdout: Holdout, sizes: Mapping[str, int]) -> Holdout:
    """The same rows with slice columns that say nothing about them: name -> number of values, each as likely."""
    columns = {
        name: Column(tuple(f"{name} {code}" for code in range(num)), rng.integers(0, num, holdout.num_rows))
        for name, num in sizes.items()
    }
    return replace(holdout, slices=columns)


@dataclass
class Bench:
    """Fresh rows that any number of models answer; two models of 80 % differ on 12 % of them.

    Each row has a difficulty and each model a luck of its own on it: right where sqrt(r) difficulty + sqrt(1 - r) luck, both
    standard normal, is below the quantile of the model's accuracy.
    """

    difficulty: Floats
    shared: float
    """r"""

    @classmethod
    def fresh(cls, rng: np.random.Generator, num_rows: int) -> Bench:
        return cls(rng.standard_normal(num_rows), SHARED)

    def right(self, rng: np.random.Generator, accuracy: float) -> Bools:
        """[rows] where one more model of this true accuracy is right."""
        luck = rng.standard_normal(len(self.difficulty))
        return self.shared**0.5 * self.difficulty + (1 - self.shared) ** 0.5 * luck < _NORMAL.inv_cdf(accuracy)


def shared_luck(discordance: float = DISCORDANCE, accuracy: float = ACCURACY) -> float:
    """The r with which two models differ on so many rows, by bisection."""
    at, step = np.linspace(-8, 8, 801), 0.02
    weights = np.exp(-(at**2) / 2) / np.sqrt(2 * np.pi) * step
    limit = _NORMAL.inv_cdf(accuracy)
    low, high = 0.0, 0.999999
    for _ in range(40):
        middle = (low + high) / 2
        reach = (limit - middle**0.5 * at) / (1 - middle) ** 0.5
        chance = np.array([_NORMAL.cdf(value) for value in reach])
        differ = 2 * float((weights * chance * (1 - chance)).sum())
        low, high = (middle, high) if differ > discordance else (low, middle)
    return low


SHARED = shared_luck()
