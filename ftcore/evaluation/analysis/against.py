"""What a promotion would change row by row: fixed, broken, and the rows that a person must see before deciding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from ftcore.evaluation.analysis.confusions import Costs, cost_of
from ftcore.evaluation.analysis.holdout_rows import HoldoutRows
from ftcore.evaluation.rows import Bools, Floats, Ints
from ftcore.evaluation.statistics.intervals import design_effect, wilson

MAX_SHOWN = 20
MUST_SEE = 10
_PER_PAIR = 2  # must-see rows of one confusion: ten of the same kind say no more than two
CHANGED_BY = 0.1
"""Generated text: a row is fixed or broken when its score changes by more than this."""


def against_champion(rows: HoldoutRows) -> dict[str, Any] | None:
    """Fixed and broken rows; None without a champion.

    The negative flip rate is the share of all rows that the champion got right and the candidate does not (Yan et al. 2021,
    "Positive-Congruent Training"); two models of one accuracy can differ by many. Generated text: by CHANGED_BY of the score.
    """
    if "champion" not in rows.models:
        return None
    change = rows.losses("champion") - rows.losses("candidate")
    edge = CHANGED_BY if rows.generates else 0.0
    fixed, broken = change > edge, change < -edge
    effective = rows.num_rows / design_effect(broken - broken.mean(), rows.groups)
    low, high = wilson(float(broken.mean()) * effective, effective)
    return {
        "num_rows": rows.num_rows, "num_fixed": int(fixed.sum()), "num_broken": int(broken.sum()),
        "negative_flip_rate": float(broken.mean()), "ci_low": low, "ci_high": high,
        "changed_by": edge, "mean_change": float(change.mean()),
        "labels": [] if rows.generates else _by_label(rows, fixed, broken),
        "broken": rows.examples(_ordered(rows, broken, change)[:MAX_SHOWN]),
        "fixed": rows.examples(_ordered(rows, fixed, -change)[:MAX_SHOWN]),
    }  # fmt: skip


def _ordered(rows: HoldoutRows, chosen: Bools, change: Floats) -> Ints:
    """The largest changes first, then the surest answers."""
    sure = rows.models["candidate"].confidences
    positions = np.flatnonzero(chosen)
    tie = np.zeros(rows.num_rows) if sure is None else -sure
    return positions[np.lexsort((tie[positions], change[positions]))]


def _by_label(rows: HoldoutRows, fixed: Bools, broken: Bools) -> list[dict[str, Any]]:
    counts = {
        kind: Counter(rows.targets[row] for row in np.flatnonzero(chosen))
        for kind, chosen in (("fixed", fixed), ("broken", broken))
    }
    labels = sorted({*counts["fixed"], *counts["broken"]}, key=lambda label: (-counts["broken"][label], label))
    return [{"label": label, "fixed": counts["fixed"][label], "broken": counts["broken"][label]} for label in labels]


def must_see(rows: HoldoutRows, costs: Costs, doubted: Collection[str] = ()) -> list[dict[str, Any]]:
    """At most MUST_SEE failing rows that weigh most, each with why: cost x confidence, twice that where the champion was right.

    Args:
        doubted: Ids of rows whose own label is in doubt; they are shown as such elsewhere.
    """
    losses, candidate = rows.losses("candidate"), rows.models["candidate"]
    before = rows.losses("champion") if "champion" in rows.models else None
    sure = np.ones(rows.num_rows) if candidate.confidences is None else candidate.confidences
    weight = losses * (1.0 if rows.generates else sure)
    if not rows.generates:
        pairs: Sequence[tuple[str, str]] = list(zip(rows.targets, candidate.predictions, strict=True))
        weight = weight * np.array([cost_of(costs, *pair) for pair in pairs])
    if before is not None:
        weight = weight * (1.0 + np.clip(losses - before, 0.0, 1.0))
    found: list[dict[str, Any]] = []
    seen: Counter[tuple[str, str]] = Counter()
    for row in np.argsort(-weight, kind="stable"):
        if len(found) == MUST_SEE or weight[row] <= 0:
            break
        pair = (rows.targets[row], candidate.predictions[row])
        if rows.ids[row] in doubted or seen[pair] >= _PER_PAIR:
            continue
        seen[pair] += 1
        found.append({**rows.example(int(row)), "why": _why(rows, int(row), losses, before, costs)})
    return found


def _why(rows: HoldoutRows, row: int, losses: Floats, before: Floats | None, costs: Costs) -> str:
    """What a row does not say itself; may be empty."""
    reasons = []
    if rows.generates and before is not None and losses[row] - before[row] > CHANGED_BY:
        reasons.append("the champion was better here")
    cost = 1.0 if rows.generates else cost_of(costs, rows.targets[row], rows.models["candidate"].predictions[row])
    if cost != 1.0:
        reasons.append(f"this mistake costs {cost:g}")
    return "; ".join(reasons)
