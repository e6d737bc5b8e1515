"""Rows of the holdout whose own label is probably wrong: two models that have not seen it agree on another one."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ftcore.data.label_errors import suspects_of
from ftcore.evaluation.analysis.holdout_rows import HoldoutRows
from ftcore.evaluation.analysis.probe import Probe

MAX_SHOWN = 50


def doubted_labels(rows: HoldoutRows, probe: Probe | None, reviewed: Collection[str] = ()) -> dict[str, Any] | None:
    """Rows to review, the least believed label first; None for generated text or without a probe.

    Confident learning (cleanlab) over the probe's probabilities says which labels are in doubt; kept are those for which the
    candidate, too, predicts what the probe suggests. Neither was trained on these rows.

    Args:
        reviewed: Ids that the label audit of `prepare` suspects as well (spec `prepare.label_audit`).
    """
    if rows.generates or probe is None:
        return None
    given = [{"id": row_id, "label": label} for row_id, label in zip(rows.ids, rows.targets, strict=True)]
    audited, suspects = suspects_of("test", given, probe.labels, probe.chances)
    position = {row_id: row for row, row_id in enumerate(rows.ids)}
    predicted = rows.models["candidate"].predictions
    both = [item for item in suspects if predicted[position[item.id]] == item.suggested]
    return {
        "num_rows": rows.num_rows, "num_judged": audited.num_judged, "probe_agreement": audited.agreement,
        "num_doubted": len(both),
        "rows": [
            {
                **rows.example(position[item.id]), "suggested": item.suggested, "probe_score": item.score,
                "also_in_audit": item.id in reviewed,
            }
            for item in both[:MAX_SHOWN]
        ],
        "ids": [item.id for item in both],
    }  # fmt: skip
