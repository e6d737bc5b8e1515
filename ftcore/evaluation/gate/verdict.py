"""A verdict as JSON and as a page that people can read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ftcore.errors import num_of
from ftcore.evaluation.classification.metrics import METRICS
from ftcore.evaluation.costs import SHOWN, Cost, shown
from ftcore.evaluation.gate.findings import Judgement, percent
from ftcore.evaluation.gate.looks import alpha_at
from ftcore.evaluation.markdown import escape
from ftcore.evaluation.probes.showing import HEADS, WHO_DECIDES, table_cells
from ftcore.evaluation.statistics.differences import level_of
from ftcore.records import LOWER_IS_BETTER, Evaluation
from ftcore.spec import GateSpec


def verdict_json(
    judgement: Judgement,
    evaluation: Evaluation,
    gate: GateSpec,
    look: int,
    probes: Sequence[Mapping[str, Any]] = (),
    few_shot: Mapping[str, Any] | None = None,
    costs: Mapping[str, Cost] | None = None,
) -> dict[str, Any]:
    """Everything about the verdict as plain JSON types.

    Args:
        probes: What they measured, for people.
        few_shot: What tables.json says of that baseline, for people.
        costs: By role, of the models.
    """
    return {
        "verdict": judgement.outcome,
        "reasons": list(judgement.reasons),
        "metrics": [dataclasses.asdict(metric) for metric in judgement.metrics],
        "slices": [item.to_dict() for item in judgement.slices],
        "models": [dataclasses.asdict(scored) for scored in evaluation.models],
        "gate": gate.model_dump(mode="json"),
        "look": look,
        "alpha": alpha_at(look, gate.alpha),
        **({"probes": list(probes)} if probes else {}),
        **({"few_shot": dict(few_shot)} if few_shot else {}),
        "costs": {role: dataclasses.asdict(cost) for role, cost in (costs or {}).items()},
        "num_rows": evaluation.num_rows,
        "test_digest": evaluation.test_digest,
        "candidate_digest": evaluation.candidate_digest,
        "champion_digest": evaluation.champion_digest,
    }


def verdict_markdown(spec_name: str, verdict: Mapping[str, Any]) -> str:
    """The verdict as a page. Labels and slice values come from data, so every cell is escaped."""
    champion = verdict["champion_digest"]
    lines = [
        f"# {escape(spec_name)}: {verdict['verdict']}",
        "",
        f"Candidate `{verdict['candidate_digest'][:12]}` "
        + (f"against champion `{champion[:12]}`" if champion else "for a first promotion")
        + f", on the same {verdict['num_rows']:,} holdout rows. Look {verdict['look']} at these rows, of at most "
        + f"{verdict['gate']['max_decisions']}: one-sided bounds at {level_of(verdict['alpha'])}"
        + ("." if verdict["look"] == 1 else f", of slices at {level_of(verdict['gate']['alpha'])}."),
        "",
        "## Why",
        "",
        *(f"- {escape(reason)}" for reason in verdict["reasons"]),
        "",
        *scores_and_differences(verdict),
    ]
    if verdict.get("few_shot"):
        lines += ["", few_shot_line(verdict["few_shot"])]
    if verdict["slices"]:
        lines += ["", f"## Slices ({_slice_metric(verdict)})", "", *_slices_table(verdict["slices"])]
    if verdict.get("costs"):
        lines += ["", "## Cost (in this evaluation)", "", *_costs_table(verdict["costs"])]
    if verdict.get("probes"):
        lines += ["", "## Probes", "", WHO_DECIDES, "", *_table(HEADS, table_cells(verdict["probes"]))]
    lines += [
        "",
        "## Thresholds",
        "",
        *_table(("setting", "value"), [(name, _setting(value)) for name, value in verdict["gate"].items()]),
    ]
    return "\n".join(lines) + "\n"


def scores_and_differences(verdict: Mapping[str, Any]) -> list[str]:
    """Lines of Markdown: every model's scores, and the candidate's difference to the champion where there is one."""
    lines = ["## Scores (95 % intervals)", "", *_scores_table(verdict["models"])]
    if verdict["metrics"]:
        lines += ["", "## Candidate against champion, paired", "", *_metrics_table(verdict["metrics"])]
    return lines


def judged_slices(verdict: Mapping[str, Any], most: int) -> list[str]:
    """Lines of Markdown: the slices that were judged, blocked ones and largest losses first, and how many were not."""
    judged = sorted((s for s in verdict["slices"] if s["judged"]), key=lambda s: (not s["blocked"], s["difference"]))
    num_blocked = sum(s["blocked"] for s in judged)
    told = f"{len(judged)} judged, {num_blocked or 'none'} blocked; {len(verdict['slices']) - len(judged)} have too few rows."
    lines = [f"## Slices ({_slice_metric(verdict)})", "", told]
    if judged:
        lines += ["", *_slices_table(judged[:most])]
    if len(judged) > most:
        lines += ["", f"and {len(judged) - most} more in verdict.md"]
    return lines


def _setting(value: Any) -> str:
    """A threshold as people write it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_setting(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "no limit" if value is None else str(value)


def _slice_metric(verdict: Mapping[str, Any]) -> str:
    """Slices of a classifier are compared by accuracy, whatever decides."""
    measured = {metric["name"] for scored in verdict["models"] for metric in scored["metrics"]}
    return "accuracy" if "accuracy" in measured else str(verdict["gate"]["metric"])


def few_shot_line(found: Mapping[str, Any]) -> str:
    """How much the order of the examples decides, for people."""
    shown = num_of(found["num_examples"], "example")
    accuracies = ", ".join(percent(value) for value in found["accuracy"])
    return (
        f"Few shot ({shown} in the prompt): accuracy by order of the examples {accuracies}, {100 * found['spread']:.1f} points "
        "apart."
    )


def _scores_table(models: list[dict[str, Any]]) -> list[str]:
    names = list(dict.fromkeys(metric["name"] for scored in models for metric in scored["metrics"])) or list(METRICS)
    rows = []
    for scored in models:
        found = {metric["name"]: metric for metric in scored["metrics"]}
        cells = [
            f"{found[name]['value']:.4f} ({found[name]['ci_low']:.4f} to {found[name]['ci_high']:.4f})"
            if name in found
            else "–"
            for name in names
        ]
        rows.append((scored["role"], *cells, f"{scored['metrics'][0]['n']:,}" if found else "0"))
    heads = (name.replace("_", " ") + (" (low is good)" if name in LOWER_IS_BETTER else "") for name in names)
    return _table(("model", *heads, "rows"), rows)


def _metrics_table(metrics: list[dict[str, Any]]) -> list[str]:
    rows = [
        (m["name"], f"{m['champion']:.4f}", f"{m['candidate']:.4f}", f"{m['difference']:+.4f}",
         f"{m['ci_low']:+.4f} to {m['ci_high']:+.4f}", f"{m['p_value']:.3g}", f"{m['n']:,}", f"{m['n_needed']:,}")
        for m in metrics
    ]  # fmt: skip
    names = ("metric", "champion", "candidate", "difference", "95 % interval", "one-sided p", "rows", "rows needed")
    return _table(names, rows)


def _slices_table(slices: list[dict[str, Any]]) -> list[str]:
    rows = [
        (s["column"], s["value"], f"{s['n']:,}", f"{s['champion']:.4f}", f"{s['candidate']:.4f}", f"{s['difference']:+.4f}",
         f"{s['ci_low']:+.4f} to {s['ci_high']:+.4f}", "blocked" if s["blocked"] else "ok" if s["judged"] else "too few rows")
        for s in slices
    ]  # fmt: skip
    return _table(("column", "value", "rows", "champion", "candidate", "difference", "95 % interval", "state"), rows)


def _costs_table(costs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = [(role, *(shown(cost[name]) for name, _ in SHOWN)) for role, cost in costs.items()]
    return _table(("model", *(title for _, title in SHOWN)), rows)


def _table(names: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    cells = ["| " + " | ".join(escape(cell) for cell in row) + " |" for row in rows]
    return ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names), *cells]
