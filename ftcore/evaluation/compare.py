"""Two prediction files in, a verdict out: the gate without a pipeline around it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from ftcore.evaluation.files import match, read_predictions
from ftcore.evaluation.gate import Evidence, judge
from ftcore.spec import GateSpec


def compare_files(champion: Path, candidate: Path, gate: GateSpec) -> dict[str, Any]:
    """Judge `candidate` against `champion`; no floors or baselines beyond those in `gate`.

    Returns:
        `verdict`, `reasons`, `metrics` (name, champion, candidate, difference, two-sided 95 % ci_low and ci_high, one-sided
        p_value, n, n_needed) and `slices`, as plain JSON types.

    Raises:
        UsageError: A file is missing or of another kind.
        DataRefused: The files have faults or are not about the same rows.
    """
    holdout = match({"champion": read_predictions(champion), "candidate": read_predictions(candidate)})
    judgement = judge(gate, Evidence(holdout))
    return {
        "verdict": judgement.outcome,
        "reasons": list(judgement.reasons),
        "metrics": [dataclasses.asdict(metric) for metric in judgement.metrics],
        "slices": [item.to_dict() for item in judgement.slices],
    }
