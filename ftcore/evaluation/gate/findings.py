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
