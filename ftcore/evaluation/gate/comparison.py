"""Candidate against champion: is it better, and is it nowhere else worse?"""

from __future__ import annotations

from collections.abc import Iterator

from ftcore.errors import num_of
from ftcore.evaluation.gate.findings import Finding, percent, points
from ftcore.evaluation.gate.measures import AnyHoldout, broken_rows, difference
from ftcore.evaluation.statistics.differences import Difference, level_of
from ftcore.records import LOWER_IS_BETTER, Comparison, Outcome
from ftcore.spec import GateSpec

_HOPELESS = 100  # times the rows there are: nobody labels so many
_SMALLEST_GAIN = 0.001  # what n_needed is for where both min_gain and margin are 0


def judge_difference(gate: GateSpec, seen: Difference, alpha: float) -> Iterator[Finding]:
    """Is the candidate better than the champion? Power, difference and strict rule, as in the docstring of judge.py."""
    needed = rows_to_see(gate, seen, alpha)
    what = (
        f"{seen.name} {percent(seen.candidate)} against {percent(seen.champion)} for the champion on {seen.n:,} rows: "
        f"{points(seen.difference)}, one-sided {level_of(alpha)} bounds {points(seen.lower)} to {points(seen.upper)}"
    )
    if seen.n < gate.min_rows:
        yield Finding(
            "NOT ENOUGH EVIDENCE",
            f"The holdout has {seen.n:,} rows; at least {gate.min_rows:,} are wanted: label {gate.min_rows - seen.n:,} more.",
        )
        return
    if seen.difference >= gate.min_gain and seen.difference > 0 and seen.lower > -gate.margin:
        few = "" if seen.n >= needed else f"; the smallest such gain is told from none on {needed:,} rows"
        limits = f"wanted a gain of at least {points(gate.min_gain)} and a lower bound above {points(-gate.margin)}"
        yield Finding("PASS", f"A gain and no loss beyond the margin: {what}; {limits}{few}.")
        yield from _strict(gate, seen, needed, alpha)
    elif seen.upper < gate.min_gain:
        yield Finding("FAIL", f"A gain of {points(gate.min_gain)} is ruled out: {what}.")
    elif seen.n >= needed:
        yield Finding(
            "FAIL",
            f"No gain of {points(gate.min_gain)} seen, and {needed:,} rows are enough to tell one from none: {what}.",
        )
    else:
        yield Finding(
            "NOT ENOUGH EVIDENCE", f"The difference is not clear: {what}. {_rows_to_label(gate, seen, needed, alpha)}"
        )


def _strict(gate: GateSpec, seen: Difference, needed: int, alpha: float) -> Iterator[Finding]:
    if not gate.strict:
        return
    p_value = min(1.0, 2 * seen.p_value)
    if p_value < alpha:
        yield Finding("PASS", f"Strict: two-sided p = {p_value:.2g}, below {alpha:g}.")
    else:
        outcome: Outcome = "FAIL" if seen.n >= needed else "NOT ENOUGH EVIDENCE"
        yield Finding(outcome, f"Strict: two-sided p = {p_value:.2g}, wanted below {alpha:g} ({seen.n:,} rows).")


def rows_to_see(gate: GateSpec, seen: Difference, alpha: float) -> int:
    """Rows on which the smallest gain is told from none with the wanted power, at the level that this look's bounds have.

    No number of rows makes PASS likelier than one half for a candidate of exactly that gain: the difference seen must reach it.
    """
    return seen.rows_needed(gate.min_gain or gate.margin or _SMALLEST_GAIN, alpha, gate.power)


def is_hopeless(needed: int, num_rows: int) -> bool:
    """Whether so many rows are no advice: nobody labels them, and where there are few groups it takes more groups, not rows."""
    return needed > _HOPELESS * num_rows


def _rows_to_label(gate: GateSpec, seen: Difference, needed: int, alpha: float) -> str:
    if is_hopeless(needed, seen.n):
        return "No likely number of such rows would tell; where rows come in few groups, label rows of more groups."
    text = (
        f"Label {needed - seen.n:,} more rows ({needed:,} in all) to tell a gain of {points(gate.min_gain)} from none"
    )
    if seen.difference > gate.min_gain:
        enough = seen.rows_needed(seen.difference, alpha, gate.power)
        if enough > seen.n:
            text += f"; {enough - seen.n:,} more if the gain really is {points(seen.difference)}"
    return text + "."


def comparison_of(gate: GateSpec, seen: Difference, alpha: float) -> Comparison:
    return Comparison(
        name=seen.name, champion=seen.champion, candidate=seen.candidate, difference=seen.difference,
        ci_low=seen.ci_low, ci_high=seen.ci_high, p_value=seen.p_value, n=seen.n, n_needed=rows_to_see(gate, seen, alpha),
        method=seen.method,
    )  # fmt: skip


def judge_guards(gate: GateSpec, holdout: AnyHoldout, alpha: float) -> Iterator[Finding]:
    """Each guard metric must not be worse than the champion's by more than its own margin.

    All must hold (an intersection-union test, Berger 1982), so each is tested at the full `alpha`. Where less is better, a rise
    is the loss.
    """
    for name, margin in gate.guards.items():
        seen = difference(holdout, name, "champion", alpha)
        allowed = "rise" if name in LOWER_IS_BETTER else "loss"
        what = (
            f"guard {name}: {percent(seen.candidate)} against {percent(seen.champion)}, {points(seen.difference)}, one-sided "
            f"{level_of(alpha)} bounds {points(seen.lower)} to {points(seen.upper)}; allowed {allowed} {points(margin)}"
        )
        gain = seen.mirrored() if name in LOWER_IS_BETTER else seen
        yield judge_loss(gain, margin, alpha, gate.power, what, "label {}")


def judge_loss(gain: Difference, margin: float, alpha: float, power: float, what: str, advice: str) -> Finding:
    """Non-inferiority: is a loss beyond the margin ruled out, shown, or neither?

    Args:
        what: The figures, for people.
        advice: How to get the rows that would tell, which take the place of `{}`.
    """
    if gain.lower > -margin:
        return Finding("PASS", f"Holds: {what}.")
    if gain.upper < 0 and gain.difference < -margin:
        return Finding("FAIL", f"Broken: {what}.")
    needed = max(gain.n + 1, gain.rows_needed(abs(margin + gain.difference), alpha, power))
    if is_hopeless(needed, gain.n):
        more = "the loss seen is so near the margin that no likely number of rows would tell"
    else:
        more = advice.format(f"{num_of(needed - gain.n, 'more row')} ({needed:,} in all)")
    return Finding("NOT ENOUGH EVIDENCE", f"A loss beyond the margin is not ruled out: {what}; {more}.")


def judge_broken_rows(gate: GateSpec, holdout: AnyHoldout) -> Iterator[Finding]:
    """Negative flips: what worked yesterday and fails today (Xie et al. 2021, "Regression bugs are in your model")."""
    if gate.max_broken is None:
        return
    count = broken_rows(holdout, gate.metric)
    share = count / holdout.num_rows
    seen = f"{count:,} of {holdout.num_rows:,} rows ({percent(share)}) were right and are wrong now"
    yield Finding("FAIL" if share > gate.max_broken else "PASS", f"{seen}; allowed {percent(gate.max_broken)}.")
