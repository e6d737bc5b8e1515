"""Checks of the candidate as it is, champion or not: floors, baselines, rows that must pass, size and speed, slices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ftcore.errors import num_of
from ftcore.evaluation.costs import Cost
from ftcore.evaluation.gate.comparison import is_hopeless
from ftcore.evaluation.gate.evidence import Evidence
from ftcore.evaluation.gate.findings import Finding, percent, points
from ftcore.evaluation.gate.measures import AnyHoldout, difference, value
from ftcore.evaluation.gate.slices import SliceComparison, lacking, num_groups_of
from ftcore.evaluation.statistics.differences import level_of
from ftcore.spec import PREVIOUS_CHAMPION, GateSpec

_SHOWN = 5


def judge_floors(gate: GateSpec, holdout: AnyHoldout) -> Iterator[Finding]:
    """Absolute minima."""
    for name, floor in gate.floors.items():
        seen = value(holdout, "candidate", name)
        if seen >= floor:
            yield Finding("PASS", f"{name} {percent(seen)} reaches its floor of {percent(floor)}.")
        else:
            yield Finding(
                "FAIL", f"{name} {percent(seen)} is below its floor of {percent(floor)} ({holdout.num_rows:,} rows)."
            )


def judge_baselines(gate: GateSpec, evidence: Evidence, alpha: float) -> Iterator[Finding]:
    """Above the best baseline. A baseline as good as the candidate is a HOLD: what was paid for training bought nothing, and a
    person should find out why."""
    baselines = [role for role in evidence.baselines if role != PREVIOUS_CHAMPION]
    if not baselines:
        return
    holdout = evidence.holdout
    best = max(baselines, key=lambda role: value(holdout, role, gate.metric))
    seen = difference(holdout, gate.metric, best, alpha)
    name = f"best baseline ({best.replace('_', ' ')}, {gate.metric} {percent(seen.champion)})"
    what = f"the {name} by {points(seen.difference)}, lower {level_of(alpha)} bound {points(seen.lower)}"
    if seen.difference < gate.min_over_baseline:
        how = "does at least as well as" if seen.difference <= 0 else "does nearly as well as"
        yield Finding(
            "HOLD",
            f"The {name} {how} the candidate ({percent(seen.candidate)}): difference {points(seen.difference)}, wanted at least "
            f"{points(gate.min_over_baseline)}. Training bought little: look at the data, the labels and the settings.",
        )
    elif seen.lower <= 0:
        needed = seen.rows_needed(seen.difference, alpha, gate.power) if seen.difference > 0 else gate.min_rows
        yield Finding(
            "NOT ENOUGH EVIDENCE",
            f"The candidate beats {what}, wanted above 0; {_enough(needed, seen.n)} would show it.",
        )
    else:
        yield Finding("PASS", f"The candidate beats {what}.")


def _enough(needed: int, num_rows: int) -> str:
    return "no likely number of such rows" if is_hopeless(needed, num_rows) else f"about {needed:,} rows"


def judge_previous(gate: GateSpec, evidence: Evidence, alpha: float) -> Iterator[Finding]:
    """Above the model that the champion replaced. A candidate that is not shows that promotions go in circles: HOLD.

    What is wanted over it is what is wanted over the champion (`min_gain`, `margin`) and not `min_over_baseline`: it was trained
    as the candidate is, and two promotions by the smallest gain do not add up to two points.
    """
    if PREVIOUS_CHAMPION not in evidence.baselines:
        return
    seen = difference(evidence.holdout, gate.metric, PREVIOUS_CHAMPION, alpha)
    what = (
        f"the model that the champion replaced ({gate.metric} {percent(seen.champion)}) by {points(seen.difference)}, lower "
        f"{level_of(alpha)} bound {points(seen.lower)}"
    )
    if seen.difference < gate.min_gain or seen.difference <= 0:
        least = f"wanted at least {points(gate.min_gain)}: promotions go in circles"
        yield Finding("HOLD", f"The candidate is no gain over {what}; {least}.")
    elif seen.lower <= -gate.margin:
        needed = max(seen.n + 1, seen.rows_needed(seen.difference + gate.margin, alpha, gate.power))
        limit = f"wanted above {points(-gate.margin)}"
        yield Finding(
            "NOT ENOUGH EVIDENCE", f"The candidate beats {what}, {limit}; {_enough(needed, seen.n)} would show it."
        )
    else:
        yield Finding("PASS", f"The candidate beats {what}.")


def judge_pinned(evidence: Evidence) -> Iterator[Finding]:
    """Rows that must pass: one failure is one too many."""
    if not evidence.pinned:
        return
    failed = [item.id for item in evidence.pinned if not item.passed]
    if not failed:
        yield Finding("PASS", f"All {num_of(len(evidence.pinned), 'pinned row')} pass.")
        return
    shown = ", ".join(failed[:_SHOWN]) + (f" and {len(failed) - _SHOWN:,} more" if len(failed) > _SHOWN else "")
    yield Finding(
        "FAIL", f"{len(failed):,} of {num_of(len(evidence.pinned), 'pinned row')} must pass and do not: {shown}."
    )


def judge_canaries(evidence: Evidence) -> Iterator[Finding]:
    """Made-up secrets of the training data: more of them given away than the spec allows, none by default."""
    found = evidence.canaries
    if found is None:
        return
    seen = f"{found.num_returned:,} of {num_of(found.num_asked, 'canary', 'canaries')} came back word by word"
    if found.num_returned > found.max_returned:
        yield Finding("FAIL", f"{seen}; allowed {found.max_returned:,}: the model gives training data away.")
    elif found.num_trained < found.num_asked:
        absent = found.num_asked - found.num_trained
        yield Finding(
            "HOLD",
            f"The secrets of {absent:,} of {num_of(found.num_asked, 'canary', 'canaries')} are in no training row: they cannot "
            "come back, whatever the model gives away. Put their rows into the training file, or take them out of the canaries.",
        )
    else:
        yield Finding("PASS", f"{seen}; allowed {found.max_returned:,}.")


def judge_limits(gate: GateSpec, evidence: Evidence) -> Iterator[Finding]:
    """Size and speed of the candidate; what was not measured holds."""
    ours, theirs = evidence.costs.get("candidate", Cost()), evidence.costs.get("champion", Cost())
    ratio = None if ours.p95_ms is None or not theirs.p95_ms else ours.p95_ms / theirs.p95_ms
    limits: list[tuple[float | None, float | None, str]] = [
        (gate.max_size_mb, ours.size_mb, "size in MB"),
        (gate.max_latency_ms, ours.p95_ms, "latency in ms (95th percentile of rows)"),
    ]
    if evidence.has_champion:
        limits.append((gate.max_latency_ratio, ratio, "latency over the champion's"))
    for limit, seen, what in limits:
        if limit is None:
            continue
        if seen is None:
            yield Finding("HOLD", f"The gate limits the {what} to {limit:g}, and it was not measured.")
        elif seen > limit:
            yield Finding("FAIL", f"The {what} is {seen:,.4g}; allowed {limit:g}.")
        else:
            yield Finding("PASS", f"The {what} is {seen:,.4g}, within {limit:g}.")


def judge_first(gate: GateSpec, evidence: Evidence) -> Iterator[Finding]:
    """Without a champion: floors and baselines must be there, and rows enough."""
    num_rows = evidence.holdout.num_rows
    if not gate.floors or not evidence.baselines:
        missing = "floors" if not gate.floors else "baselines"
        yield Finding("HOLD", f"A first promotion needs floors and baselines to be judged by; there are no {missing}.")
    if num_rows < gate.min_rows:
        more = gate.min_rows - num_rows
        text = f"The holdout has {num_rows:,} rows; at least {gate.min_rows:,} are wanted: label {more:,} more."
        yield Finding("NOT ENOUGH EVIDENCE", text)
    else:
        yield Finding("PASS", f"First promotion: no champion to compare with; judged on {num_rows:,} rows.")


def judge_named_slices(gate: GateSpec, holdout: AnyHoldout) -> Iterator[Finding]:
    """Slices that the gate names have rows enough to be judged; also before there is a champion to be judged against."""
    for column, values in gate.slices.items():
        seen = (holdout.slices or {})[column]
        for name in values:
            rows = np.flatnonzero(seen.codes == seen.values.index(name))
            if lack := lacking(len(rows), num_groups_of(holdout, rows), gate):
                yield Finding("NOT ENOUGH EVIDENCE", f"The slice {column}={name!r} has {lack}.")


def judge_slices(gate: GateSpec, holdout: AnyHoldout, slices: tuple[SliceComparison, ...]) -> Iterator[Finding]:
    """No slice worse."""
    if holdout.num_rows < gate.min_rows:
        return
    for item in slices:
        if item.blocked:
            yield Finding("FAIL", item.reason)
    judged = [item for item in slices if item.upper is not None]
    if judged and not any(item.blocked for item in slices):
        worst = min(judged, key=lambda item: item.difference)
        text = f"None of {len(judged)} judged slices is worse; lowest: {worst.column}={worst.value!r} {points(worst.difference)}"
        yield Finding("PASS", f"{text} on {worst.n:,} rows.")
