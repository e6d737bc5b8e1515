"""What can be measured on a holdout of either kind, labels or generated text, so that the rules need not ask which it is."""

from __future__ import annotations

import numpy as np

from ftcore.evaluation.classification.metrics import label_metrics, own_metrics
from ftcore.evaluation.classification.metrics import value_of as label_value_of
from ftcore.evaluation.classification.paired import paired_difference
from ftcore.evaluation.generation.holdout import TextHoldout
from ftcore.evaluation.generation.metrics import formula_of, text_metrics, value_of
from ftcore.evaluation.generation.paired import text_difference
from ftcore.evaluation.rows import Holdout
from ftcore.evaluation.statistics.differences import Difference
from ftcore.records import LOWER_IS_BETTER

AnyHoldout = Holdout | TextHoldout


def metrics_of(holdout: AnyHoldout) -> tuple[str, ...]:
    """Metrics that a floor or the gate may name: more is better."""
    return tuple(name for name in guardable(holdout) if name not in LOWER_IS_BETTER)


def guardable(holdout: AnyHoldout) -> tuple[str, ...]:
    """Metrics that a guard may name: of some less is better."""
    return text_metrics(holdout) if isinstance(holdout, TextHoldout) else label_metrics(holdout)


def value(holdout: AnyHoldout, role: str, name: str) -> float:
    """One metric of one model on all rows; NaN where the model lacks it."""
    if isinstance(holdout, TextHoldout):
        return value_of(holdout, role, name)
    return label_value_of(holdout, role, name)


def difference(holdout: AnyHoldout, name: str, other: str, alpha: float) -> Difference:
    """Candidate minus `other` on the same rows, bounds at 1 - alpha."""
    if isinstance(holdout, TextHoldout):
        return text_difference(holdout, name, "candidate", other, alpha)
    return paired_difference(holdout, name, "candidate", other, alpha)


def compared(holdout: AnyHoldout) -> list[str]:
    """Metrics that candidate and champion are shown side by side on, one of them to decide."""
    if not isinstance(holdout, TextHoldout):
        return ["accuracy", "macro_f1", *own_metrics(holdout)]
    ours, theirs = (holdout.statistics[role] for role in ("candidate", "champion"))
    return [name for name in ours if name in theirs and not splits_otherwise(holdout, name, "champion")]


def splits_otherwise(holdout: TextHoldout, name: str, other: str) -> bool:
    """Whether candidate and another model split the references differently: then likelihoods per token do not compare."""
    ours, theirs = (holdout.statistics.get(role, {}).get(name) for role in ("candidate", other))
    if name != "inverse_perplexity" or ours is None or theirs is None:
        return False
    return not np.array_equal(ours[:, 1], theirs[:, 1])


def broken_rows(holdout: AnyHoldout, metric: str) -> int:
    """Rows that the champion has right and the candidate wrong; of generated text: where the candidate's row is worse by half."""
    if isinstance(holdout, TextHoldout):
        ours, theirs = (formula_of(metric)(holdout.statistics[role][metric]) for role in ("candidate", "champion"))
        return int((ours < theirs - 0.5).sum())
    ours, theirs = (holdout.predictions[role] == holdout.target for role in ("candidate", "champion"))
    return int((theirs & ~ours).sum())


def same_answers(holdout: AnyHoldout, metric: str) -> bool:
    """Whether candidate and champion answer every row alike; of generated text: alike for `metric`."""
    if isinstance(holdout, TextHoldout):
        ours, theirs = (holdout.statistics[role][metric] for role in ("candidate", "champion"))
        return np.array_equal(ours, theirs)
    return np.array_equal(holdout.predictions["candidate"], holdout.predictions["champion"])
