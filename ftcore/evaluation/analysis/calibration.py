"""Whether a model's confidence can be believed: accuracy by confidence, for the reliability diagram."""

from __future__ import annotations

from typing import Any

import numpy as np

from ftcore.evaluation.analysis.holdout_rows import HoldoutRows
from ftcore.evaluation.rows import Floats
from ftcore.evaluation.statistics.intervals import wilson

NUM_BINS = 10
MIN_ROWS = 50
SURE = 0.9


def calibration(rows: HoldoutRows) -> dict[str, Any] | None:
    """Bins of equally many rows by confidence, each with mean confidence, accuracy and a Wilson interval, for each model.

    Equal numbers rather than equal widths: most confidences lie near 1, and a bin of three rows says nothing (Nguyen & O'Connor
    2015). None without confidences, with fewer than MIN_ROWS rows, and for generated text.
    """
    if rows.generates or rows.num_rows < MIN_ROWS:
        return None
    found = {
        role: _of_model(model.confidences, 1.0 - rows.losses(role))
        for role, model in rows.models.items()
        if model.confidences is not None
    }
    return {"models": found} if found else None


def _of_model(confidences: Floats, right: Floats) -> dict[str, Any]:
    order = np.argsort(confidences, kind="stable")
    bins = []
    for part in np.array_split(order, min(NUM_BINS, max(1, len(order) // 20))):
        low, high = wilson(float(right[part].sum()), len(part))
        bins.append({
            "confidence": float(confidences[part].mean()), "accuracy": float(right[part].mean()), "n": len(part),
            "ci_low": low, "ci_high": high,
        })  # fmt: skip
    sure = confidences >= SURE
    return {
        "bins": bins, "accuracy": float(right.mean()), "mean_confidence": float(confidences.mean()),
        "num_sure": int(sure.sum()), "num_sure_wrong": int((right[sure] == 0).sum()), "sure": SURE,
    }  # fmt: skip
