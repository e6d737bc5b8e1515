"""Reads what evaluate wrote, distrusts it, and turns it into evidence for the gate and a verdict that people can read."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ftcore.errors import DataRefused, UsageError
from ftcore.evaluation.files import LIKELIHOOD, match, match_texts, read_predictions
from ftcore.evaluation.gate import Evidence, Judgement
from ftcore.evaluation.generation.holdout import TextHoldout
from ftcore.evaluation.generation.metrics import FORMULAS, PERPLEXITY, value_of
from ftcore.evaluation.markdown import escape
from ftcore.evaluation.metrics import METRICS, class_counts, macro
from ftcore.evaluation.rows import Column, Holdout
from ftcore.records import Evaluation, Scored, Withdrawal
from ftcore.spec import GateSpec

_NO_CODES = Column.of([]).codes
_MODELS = ("candidate", "champion")


def gather_evidence(
    evaluation: Evaluation,
    folder: Path,
    slices: tuple[str, ...],
    withdrawal: Withdrawal | None = None,
    *,
    generates: bool = False,
) -> Evidence:
    """Evidence from the per-row predictions below `folder`; whatever does not fit the record is a fault, never ignored.

    Args:
        slices: Slice columns as evaluate wrote them; the label is added as one more.
        withdrawal: That this very model was rolled back before; a fault, for it must not come back by itself.
        generates: The models generate text, so that there are no labels.
    """
    roles = [scored.role for scored in evaluation.models]
    baselines = tuple(role for role in roles if role not in _MODELS)
    faults = [*evaluation.refused, *_withdrawn(withdrawal), *_record_faults(evaluation, roles)]
    holdout: Holdout | TextHoldout = TextHoldout({}, {}, 0) if generates else Holdout((), _NO_CODES, {})
    optional = ("group", *slices, *(LIKELIHOOD if generates else ()))
    if roles:
        try:
            files = {
                role: read_predictions(folder / "predictions" / f"{role}.jsonl", optional, free_text=generates)
                for role in roles
            }
            holdout = match_texts(files, slices) if generates else _with_label_slices(match(files, slices))
            faults += _metric_faults(evaluation, holdout)
        except (DataRefused, UsageError) as error:
            faults += [error.message, *error.details]
    return Evidence(holdout, baselines, evaluation.candidate_digest, evaluation.champion_digest, tuple(faults))


def _with_label_slices(holdout: Holdout) -> Holdout:
    label = Column(holdout.classes, holdout.target)
    return dataclasses.replace(holdout, slices={**(holdout.slices or {}), "label": label})


def _withdrawn(withdrawal: Withdrawal | None) -> Iterator[str]:
    if withdrawal is not None:
        yield (
            f"This very model was champion and was rolled back by {withdrawal.actor} (ledger position {withdrawal.seq}: "
            f"{withdrawal.reason}). It does not come back by itself; `ftcore champion rollback SPEC --to "
            f"{withdrawal.model_digest[:12]}` puts it back."
        )


def _record_faults(evaluation: Evaluation, roles: list[str]) -> Iterator[str]:
    if "candidate" not in roles:
        yield "The evaluation has no candidate."
    if (evaluation.champion_digest is not None) != ("champion" in roles):
        yield "The evaluation names a champion without its scores, or scores one without naming it."
    for scored in evaluation.models:
        wanted = {"candidate": evaluation.candidate_digest, "champion": evaluation.champion_digest}.get(scored.role)
        if wanted is not None and scored.model_digest != wanted:
            yield f"The {scored.role} scored is {scored.model_digest[:12]}, the evaluation names {wanted[:12]}."


def _metric_faults(evaluation: Evaluation, holdout: Holdout | TextHoldout) -> Iterator[str]:
    if holdout.num_rows != evaluation.num_rows:
        yield f"The evaluation says {evaluation.num_rows:,} rows, the predictions have {holdout.num_rows:,}."
    for scored in evaluation.models:
        yield from _model_faults(scored, holdout)


def _model_faults(scored: Scored, holdout: Holdout | TextHoldout) -> Iterator[str]:
    """Each metric of the record is there, finite, about all rows, and what the rows themselves give."""
    recorded = {metric.name: metric for metric in scored.metrics}
    for name, value in _values(scored.role, holdout).items():
        metric = recorded.get(name)
        if metric is None:
            yield f"{name} of the {scored.role} is missing."
        elif not all(math.isfinite(number) for number in (metric.value, metric.ci_low, metric.ci_high)):
            yield f"{name} of the {scored.role} is {metric.value} ({metric.ci_low} to {metric.ci_high}); wanted numbers."
        elif metric.n != holdout.num_rows:
            yield f"{name} of the {scored.role} is about {metric.n:,} rows, the holdout has {holdout.num_rows:,}."
        elif not abs(value - metric.value) <= 1e-9 * max(1.0, abs(value)):
            yield f"{name} of the {scored.role} is recorded as {metric.value:.6f}, its rows give {value:.6f}."


def _values(role: str, holdout: Holdout | TextHoldout) -> dict[str, float]:
    """The metrics of one model as its rows give them."""
    if isinstance(holdout, TextHoldout):
        values = {name: value_of(holdout, role, name) for name in FORMULAS if name in holdout.statistics[role]}
        if values.get("inverse_perplexity"):
            values[PERPLEXITY] = 1 / values["inverse_perplexity"]
        return values
    counts = class_counts(holdout.target, holdout.predictions[role], len(holdout.classes))
    accuracy = float(counts[2].sum()) / holdout.num_rows
    return {name: accuracy if name == "accuracy" else float(macro(name, counts)) for name in METRICS}


def verdict_json(judgement: Judgement, evaluation: Evaluation, gate: GateSpec) -> dict[str, Any]:
    """Everything about the verdict as plain JSON types."""
    return {
        "verdict": judgement.outcome,
        "reasons": list(judgement.reasons),
        "metrics": [dataclasses.asdict(metric) for metric in judgement.metrics],
        "slices": [item.to_dict() for item in judgement.slices],
        "models": [dataclasses.asdict(scored) for scored in evaluation.models],
        "gate": gate.model_dump(mode="json"),
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
        + f", on the same {verdict['num_rows']:,} holdout rows.",
        "",
        "## Why",
        "",
        *(f"- {escape(reason)}" for reason in verdict["reasons"]),
        "",
        "## Scores",
        "",
        *_scores_table(verdict["models"]),
    ]
    if verdict["metrics"]:
        lines += ["", "## Candidate against champion, paired", "", *_metrics_table(verdict["metrics"])]
    if verdict["slices"]:
        metric = "accuracy" if verdict["gate"]["metric"] in METRICS else verdict["gate"]["metric"]
        lines += ["", f"## Slices ({metric})", "", *_slices_table(verdict["slices"])]
    lines += ["", "## Thresholds", "", *_table(("setting", "value"), [(k, str(v)) for k, v in verdict["gate"].items()])]
    return "\n".join(lines) + "\n"


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
    return _table(("model", *(name.replace("_", " ") for name in names), "rows"), rows)


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


def _table(names: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    cells = ["| " + " | ".join(escape(cell) for cell in row) + " |" for row in rows]
    return ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names), *cells]
