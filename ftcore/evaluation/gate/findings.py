"""What the gate finds, sentence by sentence, and what it concludes."""

from __future__ import annotations

from dataclasses import dataclass

from ftcore.evaluation.gate.slices import SliceComparison
from ftcore.records import Comparison, Outcome


@dataclass(frozen=True)
class Finding:
    """One sentence, with its numbers, and what it argues for."""

    outcome: Outcome
    reason: str


@dataclass(frozen=True)
class Judgement:
    """What the gate says."""

    outcome: Outcome
    reasons: tuple[str, ...]
    """Why: for PASS every check that held, else every check that did not."""
    metrics: tuple[Comparison, ...] = ()
    """The gate's metric first; empty without a champion."""
    slices: tuple[SliceComparison, ...] = ()
    looked: bool = True
    """False: faults were found before anything was compared."""


def conclude(
    findings: list[Finding], metrics: tuple[Comparison, ...] = (), slices: tuple[SliceComparison, ...] = ()
) -> Judgement:
    """PASS if nothing argues against it; else FAIL, HOLD or NOT ENOUGH EVIDENCE, whichever is there first, with all that argues
    against it."""
    against = [item for item in findings if item.outcome != "PASS"]
    if not against:
        return Judgement("PASS", tuple(item.reason for item in findings), metrics, slices)
    order: tuple[Outcome, ...] = ("FAIL", "HOLD", "NOT ENOUGH EVIDENCE")
    against.sort(key=lambda item: order.index(item.outcome))  # stable
    return Judgement(against[0].outcome, tuple(item.reason for item in against), metrics, slices)


def points(fraction: float) -> str:
    """A difference for people."""
    return f"{100 * fraction:+.2f} points"


def percent(fraction: float) -> str:
    """A share for people."""
    return f"{100 * fraction:.2f} %"
