"""Decisions on generated text (chrF), with made-up answers whose true quality is known."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from benchmarks.gate.report import Show, at_most, percent, points
from benchmarks.gate.rules import DEFAULT, verdict
from benchmarks.gate.scale import Scale
from ftcore.evaluation.generation.holdout import TextHoldout
from ftcore.evaluation.generation.metrics import chrf
from ftcore.evaluation.generation.row_statistics import chrf_statistics
from ftcore.evaluation.rows import Floats

NUM_ROWS = 300
GATE = DEFAULT.model_copy(update={"metric": "chrf", "floors": {"chrf": 0.2}})
_POOL, _VERSIONS = 3000, 3


@dataclass(frozen=True)
class Pool:
    """chrF statistics of plain and of good answers to many made-up references, several versions of each."""

    plain: Floats
    """[versions, references, 18]"""
    good: Floats

    def value(self, share: float) -> float:
        """chrF of a model that gives a good answer to this share of all references."""
        means = [statistics.mean(axis=(0, 1)) for statistics in (self.plain, self.good)]
        return float(chrf((1 - share) * means[0] + share * means[1]))

    def share(self, value: float) -> float:
        """The share of good answers that gives this chrF, by bisection."""
        low, high = 0.0, 1.0
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if self.value(middle) < value else (low, middle)
        return low

    def holdout(self, rng: np.random.Generator, shares: tuple[float, float]) -> TextHoldout:
        """Rows drawn from the pool. Half of them both models answer alike where they are alike in quality.

        Args:
            shares: Good answers of candidate and champion.
        """
        references = rng.integers(0, self.plain.shape[1], NUM_ROWS)
        same = rng.random(NUM_ROWS) < 0.5
        luck, version = rng.random((2, NUM_ROWS)), rng.integers(0, len(self.plain), (2, NUM_ROWS))
        luck[1], version[1] = np.where(same, luck[0], luck[1]), np.where(same, version[0], version[1])
        statistics = {}
        for model, role in enumerate(("candidate", "champion")):
            good = (luck[model] < shares[model])[:, None]
            chosen = np.where(good, self.good[version[model], references], self.plain[version[model], references])
            statistics[role] = {"chrf": chosen}
        return TextHoldout({role: [""] * NUM_ROWS for role in statistics}, statistics, NUM_ROWS)


def pool(rng: np.random.Generator, num_references: int = _POOL) -> Pool:
    """References of 6 to 25 made-up words; a plain answer keeps 60 % of them and replaces the others, a good one keeps 85 %."""
    letters, chances = np.array(list("etaoinshrdlu")), np.linspace(2, 1, 12) / np.linspace(2, 1, 12).sum()
    words = ["".join(rng.choice(letters, rng.integers(2, 9), p=chances)) for _ in range(1500)]
    references = [rng.choice(words, rng.integers(6, 26)).tolist() for _ in range(num_references)]

    def answers(kept: float) -> Floats:
        texts = [
            " ".join(word if rng.random() < kept else words[rng.integers(len(words))] for word in reference)
            for reference in references
        ]
        return chrf_statistics([" ".join(reference) for reference in references], texts)

    plain, good = (np.stack([answers(kept) for _ in range(_VERSIONS)]) for kept in (0.6, 0.85))
    return Pool(plain, good)


def texts(rng: np.random.Generator, scale: Scale) -> Show:
    """The gate on chrF beside "new >= old"."""
    made, times = pool(rng, _POOL if scale.texts > 20 else 300), scale.texts
    champion = made.value(0.5)
    lines, targets = [], []
    for effect in (-0.01, 0.0, 0.02, 0.03):
        shares = (made.share(champion + effect), 0.5)
        seen: Counter[str] = Counter()
        for _ in range(times):
            holdout = made.holdout(rng, shares)
            seen["gate"] += verdict(GATE, holdout) == "PASS"
            sums = {role: found["chrf"].sum(axis=0) for role, found in holdout.statistics.items()}
            seen["naive"] += bool(chrf(sums["candidate"]) >= chrf(sums["champion"]))
        lines.append((points(effect), percent(seen["naive"] / times), percent(seen["gate"] / times)))
        if effect == -0.01:
            targets.append(at_most("chrF, 300 rows: a model 1 point worse is promoted", 0.05, seen["gate"], times))
    about = f"Share promoted of {times:,} decisions on {NUM_ROWS} rows of generated text; the champion's chrF is {champion:.2f}."
    return Show("texts", about, ("true difference", "new >= old", "gate"), tuple(lines), tuple(targets))
