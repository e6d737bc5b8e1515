from __future__ import annotations

import numpy as np
import pytest

from ftcore.evaluation.gate.evidence import Evidence
from ftcore.evaluation.gate.findings import Finding
from ftcore.evaluation.gate.probe_guards import judge_probe_guards
from ftcore.evaluation.probes.measures import Measure, ratio, share
from ftcore.evaluation.rows import Column, Holdout
from ftcore.spec import GateSpec


def judged(measure: Measure, margin: float, alpha: float = 0.05, name: str | None = None) -> Finding:
    evidence = Evidence(Holdout((), Column.of([]).codes, {}), probe_rows=(measure,))
    gate = GateSpec.model_validate({"probe_guards": {name or f"{measure.probe}.{measure.name}": margin}})
    (found,) = judge_probe_guards(gate, evidence, alpha)
    return found


def losses(rise: float, spread: float = 0.2, num_rows: int = 36) -> Measure:
    rng = np.random.default_rng(4)
    size = rng.integers(100, 400, num_rows).astype(float)
    before = size * rng.normal(2.0, 0.3, num_rows)
    after = before + size * rng.normal(rise, spread, num_rows)
    counts = {"candidate": ratio(after, size), "champion": ratio(before, size)}
    return Measure("forgetting", "bits_per_byte", "loss", counts, "loss")


def refused(candidate: int, champion: int, num_rows: int) -> Measure:
    counts = {
        role: share([row < count for row in range(num_rows)])
        for role, count in (("candidate", candidate), ("champion", champion))
    }
    return Measure("safety", "harm_refused", "refused", counts, less_is_better=False)


@pytest.mark.parametrize(
    ("rise", "spread", "outcome"),
    [(-0.3, 0.2, "PASS"), (0.0, 0.2, "PASS"), (0.0, 1.0, "NOT ENOUGH EVIDENCE"), (0.4, 0.2, "FAIL")],
)
def test_a_rise_of_the_loss_is_a_loss(rise: float, spread: float, outcome: str) -> None:
    found = judged(losses(rise, spread), margin=0.1)
    assert found.outcome == outcome and "allowed rise +0.100" in found.reason and "on 36 rows" in found.reason


@pytest.mark.parametrize(
    ("candidate", "num_rows", "outcome"),
    [(20, 20, "NOT ENOUGH EVIDENCE"), (10, 20, "FAIL"), (200, 200, "PASS"), (150, 200, "FAIL")],
)
def test_a_share_that_should_be_high_must_not_fall(candidate: int, num_rows: int, outcome: str) -> None:
    """Twenty prompts cannot rule out a loss of five points, however they were answered."""
    found = judged(refused(candidate, num_rows, num_rows), margin=0.05)
    assert found.outcome == outcome and "allowed loss +5.00 points" in found.reason
    assert ("more rows" in found.reason) == (outcome == "NOT ENOUGH EVIDENCE")


def test_a_later_look_needs_more() -> None:
    assert judged(losses(0.0), margin=0.1).outcome == "PASS"
    later = judged(losses(0.0), margin=0.1, alpha=0.0001)
    assert later.outcome == "NOT ENOUGH EVIDENCE" and "99.99 %" in later.reason


def test_what_was_not_measured_is_held() -> None:
    nothing = {role: ratio([0.0, 0.0], [0.0, 0.0]) for role in ("candidate", "champion")}
    assert judged(Measure("groundedness", "ngrams", "triples", nothing, "ratio"), 0.1).outcome == "HOLD"
    only_one = Measure("safety", "harm_refused", "refused", {"candidate": share([True])}, less_is_better=False)
    for found in (judged(only_one, 0.1), judged(losses(0.0), 0.1, name="safety.harm_refused")):
        assert found.outcome == "HOLD" and "safety.harm_refused, which was not measured on both models" in found.reason


@pytest.mark.parametrize("measure", [losses(0.1), refused(3, 4, 10)])
def test_rows_survive_being_written(measure: Measure) -> None:
    again = Measure.from_rows(measure.to_rows())
    assert again.to_dict((("candidate", "champion"),)) == measure.to_dict((("candidate", "champion"),))
    assert again.less_is_better == measure.less_is_better
