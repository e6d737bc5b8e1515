"""Every model's scores side by side, and what the models cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftcore.evaluation.costs import SHOWN, shown
from ftcore.html.elements import Element, Node, paragraph, section, soft, table
from ftcore.records import LOWER_IS_BETTER

_NONE = "–"


def score_section(verdict: Mapping[str, Any]) -> Element | None:
    """A line per metric and cost, a column per model; None where nothing was scored.

    Args:
        verdict: As in verdict.json.
    """
    models = {
        scored["role"]: {metric["name"]: metric for metric in scored["metrics"]} for scored in verdict.get("models", ())
    }
    names = list(dict.fromkeys(name for metrics in models.values() for name in metrics))
    if not names:
        return None
    compared = {metric["name"]: metric for metric in verdict.get("metrics", ())}
    rows: list[list[Node]] = [
        [_title(name), *(_interval(metrics.get(name)) for metrics in models.values()), _difference(compared.get(name))]
        for name in names
    ]
    costs = verdict.get("costs", {})
    for name, title in SHOWN:
        seen = [costs.get(role, {}).get(name) for role in models]
        if any(value is not None for value in seen):
            rows.append([title, *map(shown, seen), _NONE])
    head = ["", *(role.replace("_", " ") for role in models), "candidate - champion"]
    return section(
        "Scores",
        paragraph(
            soft("On the same rows, with 95 % intervals; differences are paired. Costs as measured in this evaluation.")
        ),
        table(head, rows, numbers=range(1, len(head))),
        id_="scores",
    )


def _title(name: str) -> str:
    return name.replace("_", " ") + (" (low is good)" if name in LOWER_IS_BETTER else "")


def _interval(metric: Mapping[str, Any] | None) -> str:
    return _NONE if metric is None else f"{metric['value']:.4f} ({metric['ci_low']:.4f} to {metric['ci_high']:.4f})"


def _difference(metric: Mapping[str, Any] | None) -> str:
    if metric is None:
        return _NONE
    return f"{metric['difference']:+.4f} ({metric['ci_low']:+.4f} to {metric['ci_high']:+.4f})"
