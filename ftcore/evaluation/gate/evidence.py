"""What the gate may look at: reads what evaluate wrote, distrusts it, and gathers it on the same rows."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ftcore.data.reading import read_jsonl
from ftcore.errors import DataRefused, UsageError, num_of
from ftcore.evaluation.classification.metrics import METRICS, left_out
from ftcore.evaluation.classification.metrics import value_of as value_of_labels
from ftcore.evaluation.classification.probabilities import PROBABILITY_METRICS
from ftcore.evaluation.classification.probability_files import read_probabilities
from ftcore.evaluation.costs import Cost, read_costs, read_json
from ftcore.evaluation.files import LIKELIHOOD, read_predictions
from ftcore.evaluation.gate.looks import fresh_share_needed
from ftcore.evaluation.generation.holdout import TextHoldout
from ftcore.evaluation.generation.metrics import FORMULAS, PERPLEXITY, value_of
from ftcore.evaluation.matching import match, match_texts
from ftcore.evaluation.outputs import PINNED, PROBE_ROWS, PROBES
from ftcore.evaluation.probes.measures import Measure
from ftcore.evaluation.rows import Column, Holdout
from ftcore.records import Evaluation, Scored, Standing, Withdrawal
from ftcore.spec import FineTuneSpec

_NO_CODES = Column.of([]).codes
_MODELS = ("candidate", "champion")


@dataclass(frozen=True)
class Pinned:
    """One row that must pass, and whether the candidate passes it."""

    id: str
    passed: bool


@dataclass(frozen=True)
class Canaries:
    """Made-up secrets of the training data that the candidate was asked for."""

    num_asked: int
    num_trained: int
    """Of how many the secret is in the training rows."""
    num_returned: int
    max_returned: int
    """How many may come back (evaluation.probes.max_canaries)."""


@dataclass(frozen=True)
class Evidence:
    """All that the gate may look at."""

    holdout: Holdout | TextHoldout
    """Predictions of `candidate`, of `champion` where there is one, and of the baselines."""
    baselines: tuple[str, ...] = ()
    """Roles in `holdout.predictions`."""
    candidate_digest: str | None = None
    champion_digest: str | None = None
    faults: tuple[str, ...] = ()
    """What was found wrong while the evidence was gathered."""
    look: int = 1
    """Which decision on these rows this is: they tell less each time (looks.py)."""
    pinned: tuple[Pinned, ...] = ()
    """Rows that must pass."""
    costs: Mapping[str, Cost] = field(default_factory=dict)
    """By role, where they were measured."""
    canaries: Canaries | None = None
    """None: the spec names none."""
    probes: tuple[Mapping[str, Any], ...] = ()
    """What the probes measured, for people."""
    probe_rows: tuple[Measure, ...] = ()
    """The same row by row, for guards."""

    @property
    def has_champion(self) -> bool:
        return "champion" in self.holdout.predictions


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
    own = _row_metrics(evaluation, generates)
    optional = ("group", *slices, *own, *(LIKELIHOOD if generates else ()))
    if roles:
        try:
            files = {
                role: read_predictions(folder / "predictions" / f"{role}.jsonl", optional, free_text=generates)
                for role in roles
            }
            if generates:
                holdout = match_texts(files, slices, own)
            else:
                holdout = _with_label_slices(match(files, slices, own, read_probabilities(folder, roles)))
            faults += _metric_faults(evaluation, holdout)
        except (DataRefused, UsageError) as error:
            faults += [error.message, *error.details]
    probes = read_json(folder / PROBES)
    return Evidence(
        holdout, baselines, evaluation.candidate_digest, evaluation.champion_digest, tuple(faults),
        pinned=_pinned(folder), costs=read_costs(folder), canaries=_canaries(probes),
        probes=tuple(probes.get("measures", ())), probe_rows=_probe_rows(folder),
    )  # fmt: skip


def _canaries(probes: Mapping[str, Any]) -> Canaries | None:
    """Those of the candidate; none may come back until the spec has been read."""
    found = probes.get("canaries", {}).get("candidate")
    return None if not found else Canaries(int(found["n"]), int(found["num_trained"]), int(found["num_returned"]), 0)


def _probe_rows(folder: Path) -> tuple[Measure, ...]:
    path = folder / PROBE_ROWS
    return tuple(map(Measure.from_rows, json.loads(path.read_text(encoding="utf-8")))) if path.is_file() else ()


def _pinned(folder: Path) -> tuple[Pinned, ...]:
    path = folder / PINNED
    rows = read_jsonl(path) if path.is_file() else []
    return tuple(Pinned(str(row["id"]), row["passed"] is True) for row in rows)


def with_standing(evidence: Evidence, standing: Standing, evaluation: Evaluation, spec: FineTuneSpec) -> Evidence:
    """Add what the ledger says: which look it is, and faults where the gate, the champion or the holdout is not as it was."""
    faults = list(evidence.faults)
    if standing.rule_changes:
        faults.append(
            f"The gate is not the one on record, which was there before the training ({'; '.join(standing.rule_changes)}): put "
            "it back, or let somebody approve the change (ftcore gate approve)."
        )
    if evaluation.compared_digest != standing.compared_digest:
        faults.append(
            "The evaluation was made for other baselines, slices, metrics, probes or rows that must pass than the spec and its "
            "files have now: run it again (ftcore run SPEC --from evaluate)."
        )
    if spec.evaluation.must_pass and not evidence.pinned and not evaluation.refused:
        faults.append("The answers to the rows that must pass (evaluation.must_pass) are missing.")
    probes, canaries = spec.evaluation.probes, evidence.canaries
    if probes is not None and canaries is not None:
        canaries = replace(canaries, max_returned=probes.max_canaries)
    if probes is not None and probes.canaries and canaries is None and not evaluation.refused:
        faults.append("The answers to the canaries (evaluation.probes.canaries) are missing.")
    now, then = ((item.champion_digest, item.champion_seq) for item in (standing, evaluation))
    if now != then:
        faults.append(
            f"The champion has changed since the evaluation: it was {_short(then[0])} (ledger position {then[1]}), now it is "
            f"{_short(now[0])} ({now[1]}). Run the pipeline again."
        )
    if standing.look > spec.gate.max_decisions:
        fresh = fresh_share_needed(standing.look, spec.gate.max_decisions)
        faults.append(
            f"This holdout has been looked at {num_of(standing.look - 1, 'time')} (gate.max_decisions "
            f"{spec.gate.max_decisions:,}): it is worn out. One more look takes fresh rows in place of {fresh:.0%} of it, "
            f"about {math.ceil(fresh * evaluation.num_rows):,}."
        )
    return replace(evidence, look=standing.look, faults=tuple(faults), canaries=canaries)


def _short(digest: str | None) -> str:
    return digest[:12] if digest else "none"


def _row_metrics(evaluation: Evaluation, generates: bool) -> tuple[str, ...]:
    """Metrics of the record that are means of a column of the prediction files: of the answers' form, and a user's own."""
    known = {*FORMULAS, PERPLEXITY} if generates else {*METRICS, *PROBABILITY_METRICS}
    names = dict.fromkeys(metric.name for scored in evaluation.models for metric in scored.metrics)
    return tuple(name for name in names if name not in known)


def _with_label_slices(holdout: Holdout) -> Holdout:
    label = Column(holdout.classes, holdout.target)
    return replace(holdout, slices={**(holdout.slices or {}), "label": label})


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
    values = _values(scored.role, holdout)
    for name in recorded.keys() - values.keys():
        yield f"{name} of the {scored.role} is recorded, its rows do not give it."
    for name, value in values.items():
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
        values = {name: value_of(holdout, role, name) for name in holdout.statistics[role]}
        if values.get("inverse_perplexity"):
            values[PERPLEXITY] = 1 / values["inverse_perplexity"]
        return values
    names = (*METRICS, *PROBABILITY_METRICS, *holdout.row_metrics.get(role, {}))
    missing = left_out(holdout, role)
    return {name: value_of_labels(holdout, role, name) for name in names if name not in missing}
