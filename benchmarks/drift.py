"""False alarms and power of the drift decision, next to Evidently's default on the same windows.

    python benchmarks/drift.py                # about 5 minutes on 2 cores
    python benchmarks/drift.py --windows 40   # quicker, wider intervals

Traffic is simulated as a classifier sees it: 12 intents, one cluster of embeddings each, confidence from the classifier's own
scores. A shift replaces a share of the rows by an intent the classifier has never seen. Every window gets a fresh reference.
For Evidently 0.7 two readings are shown: any column drifted, and its own data set verdict (at least half of the columns).
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
import pandas as pd

from ftcore.monitoring.decision import decide
from ftcore.monitoring.tests import Sample, compare_windows


def traffic(rng: np.random.Generator, n: int, new_share: float) -> Sample:
    centres = np.random.default_rng(99).normal(size=(13, 64)) * 0.9
    kinds = rng.choice(12, size=n, p=np.arange(1, 13) / 78)
    kinds[: round(new_share * n)] = 12
    embeddings = centres[kinds] + rng.normal(size=(n, 64))
    scores = embeddings @ centres[:12].T / 6
    confidence = 1 / np.exp(scores - scores.max(axis=1, keepdims=True)).sum(axis=1)
    labels = [f"intent_{kind}" for kind in scores.argmax(axis=1)]
    return Sample(labels, confidence, rng.lognormal(3.5, 0.5, size=n).round(), embeddings)


def evidently_alarms(reference: Sample, current: Sample) -> tuple[bool, bool]:
    """(some column drifted, the data set drifted) under the defaults of Evidently's DataDriftPreset."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    definition = DataDefinition(numerical_columns=["confidence", "length"], categorical_columns=["label"])
    frames = [
        pd.DataFrame({"label": side.labels, "confidence": side.confidence, "length": side.length})
        for side in (current, reference)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = Report([DataDriftPreset()]).run(*(Dataset.from_pandas(frame, definition) for frame in frames))
    drifted = report.dict()["metrics"][0]["value"]
    return drifted["count"] >= 1, drifted["share"] >= 0.5


def wilson(hits: int, n: int) -> str:
    """Share with its 95 % Wilson interval."""
    p, z = hits / n, 1.96
    middle, half = (p + z * z / (2 * n)), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)
    return f"{p:6.1%} ({max(0, low):5.1%} – {high:5.1%})"


def measure(num_reference: int, n: int, share: float, windows: int) -> None:
    rng = np.random.default_rng([num_reference, n, round(100 * share)])
    significant = drift = some = whole = 0
    seconds = 0.0
    for seed in range(windows):
        reference, current = traffic(rng, num_reference, 0.0), traffic(rng, n, share)
        start = time.perf_counter()
        tests = compare_windows(reference, current, alpha=0.01, seed=seed)
        seconds += time.perf_counter() - start
        decision = decide(tests, num_reference=num_reference, num_current=n, min_rows=100, alpha=0.01)
        drift += decision.verdict == "drift"
        significant += decision.verdict in ("drift", "watch")
        column, data_set = evidently_alarms(reference, current)
        some, whole = some + column, whole + data_set
    cells = [wilson(hits, windows) for hits in (drift, significant, some, whole)]
    print(
        f"{num_reference:5d} {n:5d} {share:5.0%}   " + "   ".join(cells) + f"   {seconds / windows:.2f} s", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=int, default=200, help="windows per line")
    windows = parser.parse_args().windows
    print(
        "  ref   cur shift   ftcore drift             ftcore drift or watch    Evidently any column     Evidently data set"
    )
    for num_reference in (600, 2000):
        for n in (200, 500, 1000):
            for share in (0.0, 0.1, 0.2, 0.4):
                measure(num_reference, n, share, windows if share == 0 else max(20, windows // 4))


if __name__ == "__main__":
    main()
