"""Faults that make a comparison worthless or pointless: each is a HOLD, and nothing else is looked at."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ftcore.evaluation.gate.evidence import Evidence
from ftcore.evaluation.gate.measures import guardable, metrics_of, same_answers, splits_otherwise
from ftcore.evaluation.gate.measures import value as value_of
from ftcore.evaluation.generation.holdout import TextHoldout
from ftcore.evaluation.rows import Holdout
from ftcore.spec import GateSpec


def faults_of(gate: GateSpec, evidence: Evidence) -> list[str]:
    """Every fault, each a sentence."""
    faults = list(_faults(gate, evidence))
    if not faults and evidence.has_champion and same_answers(evidence.holdout, gate.metric):
        rows = f"all {evidence.holdout.num_rows:,} rows"
        faults.append(
            f"The candidate answers {rows} exactly as the champion does: nothing to decide."
            if isinstance(evidence.holdout, Holdout)
            else f"The candidate has the champion's {gate.metric} on {rows}, one by one: nothing to decide."
        )
    return faults


def _faults(gate: GateSpec, evidence: Evidence) -> Iterator[str]:
    yield from evidence.faults
    holdout = evidence.holdout
    if evidence.faults and not holdout.predictions:  # nothing could be read, and that has been told
        return
    if holdout.num_rows == 0:
        yield "The holdout is empty: nothing was measured."
    wanted = ("candidate", *evidence.baselines, *(("champion",) if evidence.champion_digest else ()))
    for role in wanted:
        if role not in holdout.predictions:
            yield f"The predictions of the {role} are missing."
    faulty_rows = holdout.num_rows == 0
    for role, predicted in holdout.predictions.items():
        if len(predicted) != holdout.num_rows:
            faulty_rows = True
            yield f"The {role} was scored on {len(predicted):,} rows, the holdout has {holdout.num_rows:,}."
    if evidence.candidate_digest is not None and evidence.candidate_digest == evidence.champion_digest:
        yield f"The candidate {evidence.candidate_digest[:12]} is already the champion."
    metrics = metrics_of(holdout)
    if gate.metric not in metrics:
        yield f"The gate decides by {gate.metric!r}, which is not measured; metrics: {', '.join(metrics)}."
    if isinstance(holdout, TextHoldout):
        yield from _text_integrity(gate, holdout)
    elif not faulty_rows:
        yield from _label_integrity(gate, holdout)
    for kind, limits, known in (("floor", gate.floors, metrics), ("guard", gate.guards, guardable(holdout))):
        for name, limit in limits.items():
            if name not in known:
                yield f"The gate has a {kind} on {name!r}, which is not measured; metrics: {', '.join(known)}."
            elif not math.isfinite(limit):
                yield f"The {kind} on {name} is {limit}; wanted a number."
    for column, values in gate.slices.items():
        seen = (holdout.slices or {}).get(column)
        for value in values:
            if seen is None or value not in seen.values:
                yield f"The gate wants the slice {column}={value!r} judged; no holdout row belongs to it."


def _wanted(gate: GateSpec, role: str) -> list[str]:
    """Metrics that the gate looks at in one model."""
    floors = gate.floors if role == "candidate" else ()
    return list(dict.fromkeys([gate.metric, *floors, *(gate.guards if role in ("candidate", "champion") else ())]))


def _compared(gate: GateSpec, role: str) -> tuple[str, ...]:
    """Metrics of which a model's value is set against the candidate's."""
    return (gate.metric, *(gate.guards if role == "champion" else ()))


def _label_integrity(gate: GateSpec, holdout: Holdout) -> Iterator[str]:
    known = guardable(holdout)
    for role in holdout.predictions:
        for name in _wanted(gate, role):
            if name in known and not math.isfinite(value_of(holdout, role, name)):
                yield f"{name} of the {role} is missing."


def _text_integrity(gate: GateSpec, holdout: TextHoldout) -> Iterator[str]:
    known = metrics_of(holdout)
    for role, statistics in holdout.statistics.items():
        for name in _wanted(gate, role):
            if name not in known:
                continue
            if name not in statistics:
                yield f"{name} of the {role} is missing."
            elif not np.isfinite(statistics[name]).all():
                yield f"{name} of the {role} is not a finite number on every row."
            elif name in _compared(gate, role) and splits_otherwise(holdout, name, role):
                field = "gate.metric" if name == gate.metric else "guard"
                yield (
                    f"The {role} splits the references into other tokens than the candidate: their perplexities do not compare. "
                    f"Choose another {field}."
                )
