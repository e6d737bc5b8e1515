"""Which classes are taken for which, ranked by what the mistakes cost, and how each class fares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from ftcore.evaluation.analysis.holdout_rows import HoldoutRows
from ftcore.evaluation.statistics.intervals import wilson

Costs = Mapping[str, Mapping[str, float]]
MAX_PAIRS = 40
NUM_EXAMPLES = 4


def cost_of(costs: Costs, target: str, predicted: str) -> float:
    """What it costs to take `target` for `predicted`; 1 where nothing is said, 0 where they are the same."""
    return 0.0 if target == predicted else float(costs.get(target, {}).get(predicted, 1.0))


def confusions(rows: HoldoutRows, costs: Costs) -> dict[str, Any]:
    """`pairs` (target taken for predicted, the most expensive first), `classes`, and the labels of `costs` that no row has."""
    predicted = rows.models["candidate"].predictions
    counts = Counter(zip(rows.targets, predicted, strict=True))
    champion = rows.models.get("champion")
    before = Counter(zip(rows.targets, champion.predictions, strict=True)) if champion else None
    sizes = Counter(rows.targets)
    total = sum(cost_of(costs, *pair) * count for pair, count in counts.items())
    wrong = [pair for pair in counts if pair[0] != pair[1]]
    wrong.sort(key=lambda pair: (-cost_of(costs, *pair) * counts[pair], -counts[pair], pair))
    pairs = []
    for target, other in wrong[:MAX_PAIRS]:
        count, cost = counts[target, other], cost_of(costs, target, other)
        low, high = wilson(count, sizes[target])
        pairs.append({
            "target": target, "predicted": other, "n": count, "num_target": sizes[target], "ci_low": low, "ci_high": high,
            "cost": cost, "total_cost": cost * count, "cost_share": cost * count / total if total else 0.0,
            "champion_n": before[target, other] if before is not None else None,
            "examples": rows.examples(_most_confident(rows, target, other)),
        })  # fmt: skip
    labels = {*rows.targets, *predicted}
    named = {label for target, others in costs.items() for label in (target, *others)}
    return {
        "pairs": pairs, "num_pairs": len(wrong), "total_cost": total, "has_costs": bool(costs),
        "classes": _classes(rows, costs), "unknown_labels": sorted(named - labels),
    }  # fmt: skip


def _most_confident(rows: HoldoutRows, target: str, other: str) -> list[int]:
    candidate = rows.models["candidate"]
    inside = [
        row for row, pair in enumerate(zip(rows.targets, candidate.predictions, strict=True)) if pair == (target, other)
    ]
    sure = candidate.confidences
    return sorted(inside, key=lambda row: 0.0 if sure is None else -float(sure[row]))[:NUM_EXAMPLES]


def _classes(rows: HoldoutRows, costs: Costs) -> list[dict[str, Any]]:
    """Per class of the targets: rows, errors with a Wilson interval, their cost; the most expensive first."""
    losses = rows.losses("candidate")
    before = rows.losses("champion") if "champion" in rows.models else None
    predicted = rows.models["candidate"].predictions
    targets = np.array(rows.targets, dtype=object)
    found = []
    for label in sorted(set(rows.targets)):
        inside = np.flatnonzero(targets == label)
        num_wrong = int(losses[inside].sum())
        low, high = wilson(num_wrong, len(inside))
        found.append({
            "label": label, "n": len(inside), "num_wrong": num_wrong, "ci_low": low, "ci_high": high,
            "cost": sum(cost_of(costs, label, predicted[row]) for row in inside),
            "champion_wrong": None if before is None else int(before[inside].sum()),
        })  # fmt: skip
    return sorted(found, key=lambda item: (-item["cost"], -item["num_wrong"], item["label"]))
