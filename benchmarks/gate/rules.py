"""The rules that are set side by side: the shipped gate, and what others promote by."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ftcore.evaluation.classification.paired import wins_of
from ftcore.evaluation.gate.evidence import Evidence
from ftcore.evaluation.gate.judge import judge
from ftcore.evaluation.generation.holdout import TextHoldout
from ftcore.evaluation.rows import Holdout
from ftcore.evaluation.statistics.resampling import mcnemar_tail
from ftcore.records import Outcome
from ftcore.spec import GateSpec

DEFAULT = GateSpec()
STRICT = GateSpec(strict=True)


def verdict(gate: GateSpec, holdout: Holdout | TextHoldout) -> Outcome:
    """What the shipped rule says."""
    return judge(gate, Evidence(holdout), show_others=False).outcome


def shipped(gate: GateSpec, holdout: Holdout) -> bool:
    return verdict(gate, holdout) == "PASS"


def at_least(points: float, holdout: Holdout) -> bool:
    """Counts alone: the candidate has at least so many points more."""
    return int(wins_of(holdout, "candidate", "champion").sum()) >= points / 100 * holdout.num_rows


def mcnemar(holdout: Holdout) -> bool:
    """More right answers and exact two-sided McNemar p < .05; knows nothing of groups."""
    wins = wins_of(holdout, "candidate", "champion")
    return 2 * mcnemar_tail(int((wins > 0).sum()), int((wins < 0).sum())) < 0.05


def at_look(gate: GateSpec, look: int) -> GateSpec:
    """The gate at the `look`-th decision on the same rows (from 1): its bounds are at 1 - alpha / look."""
    return gate.model_copy(update={"alpha": gate.alpha / look})


Rule = Callable[[Holdout], bool]
RULES: dict[str, Rule] = {
    "new >= old": partial(at_least, 0.0),
    "new >= old + 1 point": partial(at_least, 1.0),
    "McNemar p < .05": mcnemar,
    "gate": partial(shipped, DEFAULT),
    "gate, strict": partial(shipped, STRICT),
}
"""By name: whether the candidate is promoted."""
