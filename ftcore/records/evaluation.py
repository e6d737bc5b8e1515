"""Records of the judgement: models scored on the holdout, and whether the candidate may be promoted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ftcore.records.base import Record

Outcome = Literal["PASS", "FAIL", "NOT ENOUGH EVIDENCE", "HOLD"]


LOWER_IS_BETTER = frozenset({"brier", "ece", "perplexity"})
"""Metrics of which less is better; of all others more."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number with its uncertainty."""

    name: str
    value: float
    n: int
    ci_low: float
    ci_high: float


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One model (candidate, champion or a baseline) on the holdout."""

    role: str
    model_digest: str
    metrics: tuple[Metric, ...]


@dataclass(frozen=True, kw_only=True)
class Evaluation(Record):
    """evaluate: every model scored on the same rows. Per-row predictions and tables lie in `uri`."""

    kind: ClassVar[str] = "evaluation"

    uri: str
    test_digest: str
    num_rows: int
    models: tuple[Scored, ...]
    candidate_digest: str
    champion_digest: str | None
    champion_seq: int
    """Ledger position of the champion compared with; 0: none yet."""
    compared_digest: str = ""
    """What the spec wanted compared (gate/rules.py)."""


@dataclass(frozen=True, kw_only=True)
class Standing(Record):
    """What the ledger says at the moment of judging."""

    kind: ClassVar[str] = "standing"

    look: int
    """Which decision on these rows it will be, from 1; an earlier one counts by the share of them that it saw."""
    rule_changes: tuple[str, ...]
    """How the spec's rules differ from those in force, line by line."""
    champion_digest: str | None
    champion_seq: int
    """Position of the champion to compare with; 0: none."""
    compared_digest: str
    """What the spec wants compared now."""
    rules_digest: str
    """The spec's rules now, with the content of the files that they name."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Candidate against champion on one metric."""

    name: str
    champion: float
    candidate: float
    difference: float
    ci_low: float
    ci_high: float
    p_value: float
    n: int
    n_needed: int
    """Rows needed to see `min_gain` with the wanted power at the observed discordance."""
    method: str = ""
    """How interval, bounds and p-value were made."""


@dataclass(frozen=True, kw_only=True)
class Verdict(Record):
    """judge: may this candidate be promoted, and why."""

    kind: ClassVar[str] = "verdict"

    uri: str
    outcome: Outcome
    reasons: tuple[str, ...]
    metrics: tuple[Comparison, ...]
    candidate_digest: str
    champion_digest: str | None
    champion_seq: int
    evaluation_digest: str
    gate_digest: str
    rules_digest: str
    """As `gate_digest`, with the content of the files that the rules name."""
    test_digest: str
    look: int = 1
    """Which decision on this holdout it was."""
    looked: bool = True
    """False: faults were found before anything was compared, so that nothing was learned about the rows."""
