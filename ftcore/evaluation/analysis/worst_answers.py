"""Generated text: how scores are spread, and the rows with the worst answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ftcore.evaluation.analysis.holdout_rows import HoldoutRows
from ftcore.evaluation.rows import Bools

NUM_SHOWN = 20
FAILING_SHARE = 0.2
"""The rows with the lowest scores, this share of all, are what is clustered."""


def worst_answers(rows: HoldoutRows, metric: str) -> dict[str, Any] | None:
    """Scores of every row by model, for a histogram, and the rows on which the candidate scores lowest; None for labels."""
    scores = {role: model.scores for role, model in rows.models.items() if model.scores is not None}
    if "candidate" not in scores:
        return None
    order = np.argsort(scores["candidate"], kind="stable")
    spread = {role: np.sort(found)[:: _every(len(found))] for role, found in scores.items()}
    return {
        "metric": metric,
        "scores": {role: [round(float(value), 4) for value in values] for role, values in spread.items()},
        "mean": {role: float(found.mean()) for role, found in scores.items()},
        "num_zero": int((scores["candidate"] <= 0).sum()),
        "rows": rows.examples(order[:NUM_SHOWN]),
    }


def _every(num_rows: int) -> int:
    """A histogram of thousands of rows looks as one of all."""
    return max(1, num_rows // 2_000)


def failing(rows: HoldoutRows) -> Bools:
    """[rows] wrong labels; of generated text the lowest fifth of the scores, but no row with a perfect one."""
    losses = rows.losses("candidate")
    if not rows.generates:
        return np.asarray(losses > 0)
    if not len(losses):
        return np.zeros(0, dtype=bool)
    edge = float(np.quantile(losses, 1.0 - FAILING_SHARE, method="lower"))
    return np.asarray((losses >= edge) & (losses > 0))
