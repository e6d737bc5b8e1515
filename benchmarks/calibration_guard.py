"""How often a guard on calibration (`gate.guards: {ece: ...}`) is wrong: bounds of the difference of two models' calibration
errors, on holdouts drawn from made-up populations whose truth is known.

    python -m benchmarks.calibration_guard [--samples 400] [--apart 0.3]

A model of sharpness 1 is calibrated, above it is too sure, below it not sure enough. Printed in percent of the samples: how often
the true rise lies above the one-sided 95 % upper bound (a guard of that size would let a loss pass), and the same of a percentile
bootstrap of the difference as it is seen; then the mean distance of the bound from the truth, in points.
"""

from __future__ import annotations

import argparse

import numpy as np

from ftcore.evaluation.classification import calibration
from ftcore.evaluation.classification.calibration import ece_difference
from ftcore.evaluation.classification.probabilities import ece
from ftcore.evaluation.rows import Probabilities

PAIRS = [(1.0, 1.0), (1.2, 1.0), (1.5, 1.0), (0.6, 1.0), (1.5, 1.2), (1.5, 1.5), (1.0, 1.5)]
APART = (0.0, 0.3, 0.7)
ROWS = (1_000, 4_000)
SEED = 20_261
_POPULATION = 400_000
_ROUNDED = 0.0005  # the truth is known to about this


def two_models(
    rng: np.random.Generator, num_rows: int, ours: float, theirs: float, apart: float
) -> tuple[Probabilities, Probabilities]:
    """Candidate and champion, two classes; each sees a part that both see and, `apart` from the other, one of its own."""
    shared, own = rng.normal(0, 1.5, num_rows), rng.normal(0, apart, (2, num_rows))
    target = (rng.random(num_rows) < 1 / (1 + np.exp(-(shared + own.sum(axis=0))))).astype(np.int64)
    unseen = np.sqrt(1 + np.pi / 8 * apart**2)
    said = [
        1 / (1 + np.exp(-sharp * (shared + part) / unseen)) for sharp, part in zip((ours, theirs), own, strict=True)
    ]
    candidate, champion = (Probabilities(np.stack([1 - sure, sure], axis=1), target) for sure in said)
    return candidate, champion


def plain_bound(rng: np.random.Generator, found: tuple[Probabilities, Probabilities], resamples: int = 200) -> float:
    """95 % quantile of the difference as it is seen, over rows drawn with replacement."""
    num_rows = len(found[0].target)
    draws = []
    for _ in range(resamples):
        rows = rng.integers(0, num_rows, num_rows)
        ours, theirs = (ece(Probabilities(item.values[rows], item.target[rows])).value for item in found)
        draws.append(ours - theirs)
    return float(np.quantile(draws, 0.95))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--apart", type=float, nargs="*", default=APART, help="how far the two models' views differ")
    options = parser.parse_args()
    samples = options.samples
    calibration.NUM_RESAMPLES = 1_000
    rng = np.random.default_rng(SEED)
    print("| candidate, champion | apart | true rise | rows | wrong | plain bootstrap | distance |")
    print("|---|---|---|---|---|---|---|")
    for ours, theirs in PAIRS:
        for apart in options.apart:
            everyone = two_models(np.random.default_rng(SEED), _POPULATION, ours, theirs, apart)
            truth = ece(everyone[0]).value - ece(everyone[1]).value
            for num_rows in ROWS:
                upper, plain = np.empty(samples), np.empty(min(samples, 50))
                for sample in range(samples):
                    found = two_models(rng, num_rows, ours, theirs, apart)
                    upper[sample] = ece_difference(ece(found[0]), ece(found[1]), None, 0.05).upper
                    if sample < len(plain):
                        plain[sample] = plain_bound(rng, found)
                wrong, hidden = (100 * float((bound < truth - _ROUNDED).mean()) for bound in (upper, plain))
                print(
                    f"| {ours:g}, {theirs:g} | {apart:g} | {100 * truth:+.1f} | {num_rows:,} | {wrong:.1f} | {hidden:.0f} | "
                    f"{100 * float(upper.mean() - truth):+.1f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
