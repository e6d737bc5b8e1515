"""The gate: PASS, FAIL or NOT ENOUGH EVIDENCE, as a pure function of predictions and thresholds.

All checks are made and every reason is reported, not only the first; any FAIL decides, then any lack of evidence:

1. integrity: faulty input, no rows, an unknown metric, or a candidate that already is the champion: FAIL;
2. floors: each metric named in `floors` reaches its minimum, else FAIL;
3. baselines: `min_over_baseline` above the best one, else FAIL; and its lower bound above 0, else NOT ENOUGH EVIDENCE;
4. power: fewer than `min_rows` rows are NOT ENOUGH EVIDENCE;
5. the difference d to the champion on the same rows:
   PASS              d >= min_gain and the one-sided lower bound of d above -margin
   FAIL              the one-sided upper bound of d below min_gain (a worthwhile gain is ruled out), or at least
                     n_needed rows and still no gain
   NOT ENOUGH EVIDENCE   otherwise: fewer than n_needed rows and no clear effect; the reason says how many to label;
6. strict: two-sided exact McNemar p (with groups: sign-flip p; other metrics: permutation p) below alpha. Two-sided, as McNemar's
   test is defined and other libraries print it: with a one-sided p a model that is one point worse passes in 0.14 % of
   decisions on 2,000 rows, with this one in 0.05 % (12 % discordance);
7. slices: none blocked (see slices.py).

Generated text takes the same steps with the gate's metric of text (chrf, bleu, rouge_l, exact_match, inverse_perplexity: all are
fractions, higher is better), paired by row in a bootstrap and a permutation test; likelihoods per token are compared only
between models that split the references into the same number of tokens.

Every bound is one-sided and at 1 - `alpha`: 95 % by default.

Why fewer than n_needed rows may PASS. n_needed is the number of rows that lets a gain as small as `min_gain` be seen with
the wanted power: often tens of thousands. Power protects against missing a gain, not against promoting a worse model: the lower
bound does that at any n, because it widens as rows become fewer. With n rows and discordance p, PASS takes a gain of about
1.645 sqrt(p/n) - margin: 15 points on 600 rows pass easily, 1 point on 600 rows never does. A model that is worse by `margin`
or more is promoted with probability at most alpha, whatever n. Measured figures: docs/decision-statistics.md.

An equally good candidate passes more often than 5 %: no harm by definition. Where even that is unwanted, `margin: 0` asks for a
gain shown at 95 %, and `strict: true` for McNemar's p.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ftcore.evaluation.classification.metrics import METRICS, class_counts, macro
from ftcore.evaluation.classification.paired import paired_difference
from ftcore.evaluation.gate.evidence import Evidence
from ftcore.evaluation.gate.findings import Finding, Judgement
from ftcore.evaluation.gate.slices import SliceComparison, compare_slices
from ftcore.evaluation.generation.holdout import TextHoldout
from ftcore.evaluation.generation.metrics import FORMULAS, value_of
from ftcore.evaluation.generation.paired import text_difference
from ftcore.evaluation.rows import Holdout
from ftcore.evaluation.statistics.differences import Difference, level_of
from ftcore.records import Comparison, Outcome
from ftcore.spec import GateSpec

_SMALLEST_GAIN = 0.001  # what n_needed is for where both min_gain and margin are 0


def judge(gate: GateSpec, evidence: Evidence, *, show_others: bool = True) -> Judgement:
    """Weigh the evidence. Never raises for bad evidence: that is a FAIL with its reason.

    Args:
        show_others: Also compare on the metrics that do not decide, for people; takes most of the time.
    """
    faults = list(_integrity(gate, evidence))
    if faults:
        return Judgement("FAIL", tuple(faults))
    holdout = evidence.holdout
    absolute = [*_floors(gate, holdout), *_baselines(gate, evidence)]
    if not evidence.has_champion:
        return _conclude([*_first_promotion(gate, evidence), *absolute])
    names = sorted(_compared(holdout), key=lambda name: name != gate.metric)
    shown = names if show_others else names[:1]
    differences = [_difference(holdout, name, "champion", gate.alpha) for name in shown]
    slices = compare_slices(holdout, gate)
    findings = [*judge_difference(gate, differences[0]), *absolute, *_slices(gate, holdout, slices)]
    return _conclude(findings, tuple(_comparison(gate, item) for item in differences), slices)


def _metrics(holdout: Holdout | TextHoldout) -> tuple[str, ...]:
    """Metrics that a floor may name."""
    return tuple(FORMULAS) if isinstance(holdout, TextHoldout) else METRICS


def _compared(holdout: Holdout | TextHoldout) -> list[str]:
    """Metrics that candidate and champion are compared on, one of them to decide."""
    if not isinstance(holdout, TextHoldout):
        return ["accuracy", "macro_f1"]
    ours, theirs = (holdout.statistics[role] for role in ("candidate", "champion"))
    return [
        name for name in FORMULAS if name in ours and name in theirs and not _other_tokens(holdout, name, "champion")
    ]


def _difference(holdout: Holdout | TextHoldout, name: str, other: str, alpha: float) -> Difference:
    if isinstance(holdout, TextHoldout):
        return text_difference(holdout, name, "candidate", other, alpha)
    return paired_difference(holdout, name, "candidate", other, alpha)


def _other_tokens(holdout: TextHoldout, name: str, other: str) -> bool:
    """Whether candidate and another model split the references differently: then likelihoods per token do not compare."""
    ours, theirs = (holdout.statistics.get(role, {}).get(name) for role in ("candidate", other))
    if name != "inverse_perplexity" or ours is None or theirs is None:
        return False
    return not np.array_equal(ours[:, 1], theirs[:, 1])


def judge_difference(gate: GateSpec, seen: Difference) -> Iterator[Finding]:
    """Steps 4 to 6 of the module's docstring: is the candidate better than the champion?"""
    needed = _rows_needed(gate, seen)
    what = (
        f"{seen.name} {_percent(seen.candidate)} against {_percent(seen.champion)} for the champion on {seen.n:,} rows: "
        f"{_points(seen.difference)}, one-sided {level_of(gate.alpha)} bounds {_points(seen.lower)} to {_points(seen.upper)}"
    )
    if seen.n < gate.min_rows:
        yield Finding(
            "NOT ENOUGH EVIDENCE",
            f"The holdout has {seen.n:,} rows; at least {gate.min_rows:,} are wanted: label {gate.min_rows - seen.n:,} more.",
        )
        return
    if seen.difference >= gate.min_gain and seen.difference > 0 and seen.lower > -gate.margin:
        few = "" if seen.n >= needed else f"; {needed:,} rows would be needed to count on seeing the smallest such gain"
        limits = f"wanted a gain of at least {_points(gate.min_gain)} and a lower bound above {_points(-gate.margin)}"
        yield Finding("PASS", f"A gain and no loss beyond the margin: {what}; {limits}{few}.")
        yield from _strict(gate, seen, needed)
    elif seen.upper < gate.min_gain:
        yield Finding("FAIL", f"A gain of {_points(gate.min_gain)} is ruled out: {what}.")
    elif seen.n >= needed:
        yield Finding(
            "FAIL", f"No gain of {_points(gate.min_gain)} shown, though {needed:,} rows are enough to see one: {what}."
        )
    else:
        yield Finding(
            "NOT ENOUGH EVIDENCE", f"The difference is not clear: {what}. {_rows_to_label(gate, seen, needed)}"
        )


def _strict(gate: GateSpec, seen: Difference, needed: int) -> Iterator[Finding]:
    if not gate.strict:
        return
    p_value = min(1.0, 2 * seen.p_value)
    if p_value < gate.alpha:
        yield Finding("PASS", f"Strict: two-sided p = {p_value:.2g}, below {gate.alpha:g}.")
    else:
        outcome: Outcome = "FAIL" if seen.n >= needed else "NOT ENOUGH EVIDENCE"
        yield Finding(outcome, f"Strict: two-sided p = {p_value:.2g}, wanted below {gate.alpha:g} ({seen.n:,} rows).")


def _rows_needed(gate: GateSpec, seen: Difference) -> int:
    return seen.rows_needed(gate.min_gain or gate.margin or _SMALLEST_GAIN, gate.alpha, gate.power)


def _rows_to_label(gate: GateSpec, seen: Difference, needed: int) -> str:
    text = f"Label {needed - seen.n:,} more rows ({needed:,} in all) to see a gain as small as {_points(gate.min_gain)}"
    if seen.difference > gate.min_gain:
        enough = seen.rows_needed(seen.difference, gate.alpha, gate.power)
        if enough > seen.n:
            text += f"; {enough - seen.n:,} more if the gain really is {_points(seen.difference)}"
    return text + "."


def _integrity(gate: GateSpec, evidence: Evidence) -> Iterator[str]:
    yield from evidence.faults
    holdout = evidence.holdout
    if holdout.num_rows == 0:
        yield "The holdout is empty: nothing was measured."
    wanted = ("candidate", *evidence.baselines, *(("champion",) if evidence.champion_digest else ()))
    for role in wanted:
        if role not in holdout.predictions:
            yield f"The predictions of the {role} are missing."
    for role, predicted in holdout.predictions.items():
        if len(predicted) != holdout.num_rows:
            yield f"The {role} was scored on {len(predicted):,} rows, the holdout has {holdout.num_rows:,}."
    if evidence.candidate_digest is not None and evidence.candidate_digest == evidence.champion_digest:
        yield f"The candidate {evidence.candidate_digest[:12]} is already the champion."
    metrics = _metrics(holdout)
    if gate.metric not in metrics:
        yield f"The gate decides by {gate.metric!r}, which is not measured; metrics: {', '.join(metrics)}."
    if isinstance(holdout, TextHoldout):
        yield from _text_integrity(gate, holdout)
    for name, floor in gate.floors.items():
        if name not in metrics:
            yield f"The gate has a floor on {name!r}, which is not measured; metrics: {', '.join(metrics)}."
        elif not math.isfinite(floor):
            yield f"The floor on {name} is {floor}; wanted a number."


def _text_integrity(gate: GateSpec, holdout: TextHoldout) -> Iterator[str]:
    for role, statistics in holdout.statistics.items():
        wanted = [gate.metric, *(gate.floors if role == "candidate" else ())]
        for name in dict.fromkeys(name for name in wanted if name in FORMULAS):
            if name not in statistics:
                yield f"{name} of the {role} is missing."
            elif not np.isfinite(statistics[name]).all():
                yield f"{name} of the {role} is not a finite number on every row."
            elif name == gate.metric and _other_tokens(holdout, name, role):
                yield (
                    f"The {role} splits the references into other tokens than the candidate: their perplexities do not compare. "
                    "Choose another gate.metric."
                )


def _value(holdout: Holdout | TextHoldout, role: str, name: str) -> float:
    if isinstance(holdout, TextHoldout):
        return value_of(holdout, role, name)
    target, predicted = holdout.target, holdout.predictions[role]
    if name == "accuracy":
        return float((target == predicted).mean())
    return float(macro(name, class_counts(target, predicted, len(holdout.classes))))


def _floors(gate: GateSpec, holdout: Holdout | TextHoldout) -> Iterator[Finding]:
    for name, floor in gate.floors.items():
        value = _value(holdout, "candidate", name)
        if value >= floor:
            yield Finding("PASS", f"{name} {_percent(value)} reaches its floor of {_percent(floor)}.")
        else:
            yield Finding(
                "FAIL", f"{name} {_percent(value)} is below its floor of {_percent(floor)} ({holdout.num_rows:,} rows)."
            )


def _baselines(gate: GateSpec, evidence: Evidence) -> Iterator[Finding]:
    if not evidence.baselines:
        return
    holdout = evidence.holdout
    best = max(evidence.baselines, key=lambda role: _value(holdout, role, gate.metric))
    seen = _difference(holdout, gate.metric, best, gate.alpha)
    what = (
        f"the best baseline ({best.replace('_', ' ')}, {gate.metric} {_percent(seen.champion)}) by {_points(seen.difference)}, "
        f"lower {level_of(gate.alpha)} bound {_points(seen.lower)}"
    )
    if seen.difference < gate.min_over_baseline:
        yield Finding("FAIL", f"The candidate beats {what}; wanted at least {_points(gate.min_over_baseline)}.")
    elif seen.lower <= 0:
        needed = seen.rows_needed(seen.difference, gate.alpha, gate.power) if seen.difference > 0 else gate.min_rows
        yield Finding(
            "NOT ENOUGH EVIDENCE", f"The candidate beats {what}, wanted above 0; about {needed:,} rows would show it."
        )
    else:
        yield Finding("PASS", f"The candidate beats {what}.")


def _first_promotion(gate: GateSpec, evidence: Evidence) -> Iterator[Finding]:
    num_rows = evidence.holdout.num_rows
    if not gate.floors or not evidence.baselines:
        missing = "floors" if not gate.floors else "baselines"
        yield Finding("FAIL", f"A first promotion needs floors and baselines to be judged by; there are no {missing}.")
    if num_rows < gate.min_rows:
        more = gate.min_rows - num_rows
        text = f"The holdout has {num_rows:,} rows; at least {gate.min_rows:,} are wanted: label {more:,} more."
        yield Finding("NOT ENOUGH EVIDENCE", text)
    else:
        yield Finding("PASS", f"First promotion: no champion to compare with; judged on {num_rows:,} rows.")


def _slices(gate: GateSpec, holdout: Holdout | TextHoldout, slices: tuple[SliceComparison, ...]) -> Iterator[Finding]:
    if holdout.num_rows < gate.min_rows:
        return
    for item in slices:
        if item.blocked:
            yield Finding("FAIL", item.reason)
    judged = [item for item in slices if item.upper is not None]
    if judged and not any(item.blocked for item in slices):
        worst = min(judged, key=lambda item: item.difference)
        text = f"None of {len(judged)} judged slices is worse; lowest: {worst.column}={worst.value!r} {_points(worst.difference)}"
        yield Finding("PASS", f"{text} on {worst.n:,} rows.")


def _conclude(
    findings: list[Finding], metrics: tuple[Comparison, ...] = (), slices: tuple[SliceComparison, ...] = ()
) -> Judgement:
    against = [item for item in findings if item.outcome != "PASS"]
    if not against:
        return Judgement("PASS", tuple(item.reason for item in findings), metrics, slices)
    against.sort(key=lambda item: item.outcome != "FAIL")  # stable: failures first
    return Judgement(against[0].outcome, tuple(item.reason for item in against), metrics, slices)


def _comparison(gate: GateSpec, seen: Difference) -> Comparison:
    return Comparison(
        name=seen.name, champion=seen.champion, candidate=seen.candidate, difference=seen.difference,
        ci_low=seen.ci_low, ci_high=seen.ci_high, p_value=seen.p_value, n=seen.n, n_needed=_rows_needed(gate, seen),
    )  # fmt: skip


def _points(fraction: float) -> str:
    return f"{100 * fraction:+.2f} points"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"
