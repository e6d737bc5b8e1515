"""Two prediction files in, a verdict out: the gate without a pipeline around it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from ftcore.evaluation.files import LIKELIHOOD, read_predictions
from ftcore.evaluation.gate.evidence import Evidence
from ftcore.evaluation.gate.judge import judge
from ftcore.evaluation.generation.holdout import TextHoldout
from ftcore.evaluation.generation.metrics import FORMULAS
from ftcore.evaluation.matching import match, match_texts
from ftcore.evaluation.rows import Holdout
from ftcore.spec import GateSpec


def compare_files(champion: Path, candidate: Path, gate: GateSpec) -> dict[str, Any]:
    """Judge `candidate` against `champion`; no floors or baselines beyond those in `gate`.

    A metric of generated text makes target and prediction texts to compare, and for inverse_perplexity wants the columns `nll`
    (sum of -ln p over the target's tokens) and `num_target_tokens`; any other makes them labels.

    Returns:
        `verdict`, `reasons`, `metrics` (name, champion, candidate, difference, two-sided 95 % ci_low and ci_high, one-sided
        p_value, n, n_needed, method) and `slices`, as plain JSON types.

    Raises:
        UsageError: A file is missing or of another kind.
        DataRefused: The files have faults or are not about the same rows.
    """
    paths = {"champion": champion, "candidate": candidate}
    if gate.metric in FORMULAS:
        columns = ("slice", "group", *LIKELIHOOD)
        holdout: Holdout | TextHoldout = match_texts(
            {role: read_predictions(path, columns, free_text=True) for role, path in paths.items()}
        )
    else:
        holdout = match({role: read_predictions(path) for role, path in paths.items()})
    judgement = judge(gate, Evidence(holdout))
    return {
        "verdict": judgement.outcome,
        "reasons": list(judgement.reasons),
        "metrics": [dataclasses.asdict(metric) for metric in judgement.metrics],
        "slices": [item.to_dict() for item in judgement.slices],
    }
