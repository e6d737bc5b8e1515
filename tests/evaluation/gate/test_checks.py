"""Guards, negative flips, pinned rows, size and speed, slices by name: each must hold, and what cannot be judged is no PASS."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ftcore.evaluation.costs import Cost
from ftcore.evaluation.gate.comparison import judge_guards
from ftcore.evaluation.gate.evidence import Canaries, Evidence, Pinned
from ftcore.evaluation.gate.judge import judge
from ftcore.evaluation.gate.slices import compare_slices
from ftcore.evaluation.rows import Column, Holdout, Probabilities
from ftcore.spec import GateSpec


def evidence(won: int = 200, lost: int = 40, n: int = 2000, **more: Any) -> Evidence:
    """Two classes; a clear gain of 8 points by default."""
    target = np.arange(n) % 2
    candidate, champion = target.copy(), target.copy()
    champion[:won] = 1 - champion[:won]
    candidate[won : won + lost] = 1 - candidate[won : won + lost]
    return Evidence(Holdout(("a", "b"), target, {"candidate": candidate, "champion": champion}), **more)


def verdict(seen: Evidence, **gate: Any) -> tuple[str, str]:
    found = judge(GateSpec(floors={}, **gate), seen)
    return found.outcome, found.reasons[0]


def rare_class_lost(n: int = 2000, rare: int = 100) -> Evidence:
    """Accuracy gains 5 points while the rare class loses all its rows."""
    target = np.array([1] * rare + [0] * (n - rare))
    candidate, champion = np.zeros(n, np.int64), target.copy()
    champion[rare : rare + 200] = 1
    return Evidence(Holdout(("a", "b"), target, {"candidate": candidate, "champion": champion}))


def test_a_guard_stops_what_the_main_metric_does_not_see() -> None:
    seen = rare_class_lost()
    assert verdict(seen, min_slice_rows=200)[0] == "PASS"
    outcome, reason = verdict(seen, min_slice_rows=200, guards={"macro_f1": 0.01})
    assert outcome == "FAIL" and reason.startswith("Broken: guard macro_f1")


def test_a_guard_that_few_rows_cannot_settle_asks_for_labels() -> None:
    outcome, reason = verdict(evidence(120, 60, 400), guards={"macro_recall": 0.0})
    assert outcome == "PASS"
    outcome, reason = verdict(evidence(24, 20, 240), margin=0.2, guards={"macro_recall": 0.0})
    assert outcome == "NOT ENOUGH EVIDENCE" and "guard macro_recall" in reason and "label" in reason


def test_a_guard_on_what_is_not_measured_holds() -> None:
    outcome, reason = verdict(evidence(), guards={"bleu": 0.01})
    assert outcome == "HOLD" and "guard on 'bleu'" in reason


def test_rows_that_break_are_limited() -> None:
    assert verdict(evidence(), max_broken=0.02)[0] == "PASS"
    outcome, reason = verdict(evidence(), max_broken=0.0199)
    assert outcome == "FAIL" and reason.startswith("40 of 2,000 rows (2.00 %) were right")


def test_a_canary_that_comes_back_stops_any_gain() -> None:
    assert verdict(evidence(canaries=Canaries(8, 8, 0, 0)))[0] == "PASS"
    assert verdict(evidence(canaries=Canaries(8, 8, 2, 2)))[0] == "PASS"
    outcome, reason = verdict(evidence(canaries=Canaries(8, 8, 1, 0)))
    assert outcome == "FAIL" and reason.startswith("1 of 8 canaries came back word by word; allowed 0")


def test_canaries_that_nobody_planted_prove_nothing() -> None:
    outcome, reason = verdict(evidence(canaries=Canaries(8, 5, 0, 0)))
    assert outcome == "HOLD" and reason.startswith("The secrets of 3 of 8 canaries are in no training row")


def test_one_pinned_row_that_fails_stops_any_gain() -> None:
    rows = [Pinned(f"p{number}", number != 3) for number in range(9)]
    assert verdict(evidence(pinned=tuple(rows[:3])))[0] == "PASS"
    outcome, reason = verdict(evidence(pinned=tuple(rows)))
    assert outcome == "FAIL" and reason == "1 of 9 pinned rows must pass and do not: p3."


@pytest.mark.parametrize(
    ("gate", "costs", "outcome"),
    [
        ({"max_size_mb": 90}, {"candidate": Cost(size_mb=90)}, "PASS"),
        ({"max_size_mb": 90}, {"candidate": Cost(size_mb=91)}, "FAIL"),
        ({"max_size_mb": 90}, {}, "HOLD"),
        ({"max_latency_ms": 5}, {"candidate": Cost(p95_ms=4)}, "PASS"),
        ({"max_latency_ms": 5}, {"candidate": Cost(p95_ms=6)}, "FAIL"),
        ({"max_latency_ratio": 1.5}, {"candidate": Cost(p95_ms=6), "champion": Cost(p95_ms=5)}, "PASS"),
        ({"max_latency_ratio": 1.1}, {"candidate": Cost(p95_ms=6), "champion": Cost(p95_ms=5)}, "FAIL"),
        ({"max_latency_ratio": 1.1}, {"candidate": Cost(p95_ms=6)}, "HOLD"),
    ],
)
def test_size_and_speed_are_limited(gate: dict[str, float], costs: dict[str, Cost], outcome: str) -> None:
    assert verdict(evidence(costs=costs), **gate)[0] == outcome


def with_sources(values: list[str]) -> Evidence:
    seen = evidence()
    assert isinstance(seen.holdout, Holdout)
    return replace(seen, holdout=replace(seen.holdout, slices={"source": Column.of(values)}))


def test_a_slice_that_the_gate_names_must_be_there_and_large_enough() -> None:
    named = {"source": ["chat"]}
    many, few, none = (with_sources(["chat"] * count + ["mail"] * (2000 - count)) for count in (1000, 99, 0))
    assert verdict(many, slices=named)[0] == "PASS"
    assert verdict(few)[0] == "PASS"
    outcome, reason = verdict(few, slices=named)
    assert outcome == "NOT ENOUGH EVIDENCE" and "label 1 more of it" in reason
    outcome, reason = verdict(none, slices=named)
    assert outcome == "HOLD" and "no holdout row belongs to it" in reason


def test_a_named_slice_is_not_lost_among_many_small_ones() -> None:
    small = [f"s{number // 20}" for number in range(1997)]  # a hundred of 20 rows
    crowded = with_sources([*small, "chat", "chat", "chat"])
    outcome, reason = verdict(crowded, slices={"source": ["chat"]})
    assert outcome == "NOT ENOUGH EVIDENCE" and "has 3 rows" in reason
    shown = compare_slices(crowded.holdout, GateSpec(slices={"source": ["chat"]}))
    assert "chat" in {item.value for item in shown} and len(shown) < 60


def test_named_slices_are_wanted_before_there_is_a_champion_too() -> None:
    first = with_sources(["chat"] * 50 + ["mail"] * 1950)
    assert isinstance(first.holdout, Holdout)
    alone = {role: said for role, said in first.holdout.predictions.items() if role != "champion"}
    first = replace(first, holdout=replace(first.holdout, predictions=alone), champion_digest=None)
    assert verdict(first)[0] == verdict(first, slices={"source": ["mail"]})[0]
    assert any("label 50 more of it" in line for line in judge(GateSpec(slices={"source": ["chat"]}), first).reasons)


def test_failures_come_before_holds_and_holds_before_lack_of_evidence() -> None:
    seen = evidence(12, 10, 600, pinned=(Pinned("p", False),))
    found = judge(GateSpec(floors={}, max_size_mb=1), seen)
    assert found.outcome == "FAIL" and "pinned" in found.reasons[0] and "not measured" in found.reasons[1]
    assert "Label" in found.reasons[2] and len(found.reasons) == 3


def calibrated(sharpness: float, num_rows: int, gain: float = 0.2) -> Evidence:
    """A candidate with a clear gain of accuracy and confidence that is right at sharpness 1, against a calibrated champion."""
    rng = np.random.default_rng(3)
    signal, noise = rng.normal(0, 1.5, num_rows), rng.normal(0, 3, num_rows)
    target = (rng.random(num_rows) < 1 / (1 + np.exp(-signal))).astype(np.int64)
    unsure = signal * (rng.random(num_rows) > gain)
    said = {"candidate": 1 / (1 + np.exp(-sharpness * signal)), "champion": 1 / (1 + np.exp(-unsure - 1e-9 * noise))}
    found = {role: Probabilities(np.stack([1 - p, p], axis=1), target) for role, p in said.items()}
    answers = {role: item.values.argmax(axis=1) for role, item in found.items()}
    return Evidence(Holdout(("a", "b"), target, answers, probabilities=found))


@pytest.mark.parametrize(
    ("name", "sharpness", "num_rows", "wanted"),
    [
        ("ece", 1.0, 60_000, "PASS"), ("ece", 1.0, 1_000, "NOT ENOUGH EVIDENCE"), ("ece", 3.0, 20_000, "FAIL"),
        ("brier", 1.0, 2_000, "PASS"), ("brier", 4.0, 20_000, "FAIL"), ("brier", 2.0, 300, "NOT ENOUGH EVIDENCE"),
    ],
)  # fmt: skip
def test_a_guard_on_calibration(name: str, sharpness: float, num_rows: int, wanted: str) -> None:
    seen = calibrated(sharpness, num_rows)
    assert verdict(seen)[0] == "PASS"
    found = judge(GateSpec(floors={}, guards={name: 0.01}), seen)
    (reason,) = (line for line in found.reasons if f"guard {name}" in line)
    assert found.outcome == wanted and "allowed rise +1.00 points" in reason
    if wanted == "NOT ENOUGH EVIDENCE":
        near = name == "brier"  # the loss seen is next to the margin
        assert ("no likely number of rows would tell" if near else "more rows") in reason


def test_a_guard_on_calibration_without_probabilities_holds() -> None:
    seen = calibrated(1.0, 20_000)
    outcome, reason = verdict(replace(seen, holdout=replace(seen.holdout, probabilities={})), guards={"ece": 0.01})
    assert outcome == "HOLD" and "guard on 'ece', which is not measured" in reason
    ours = {"candidate": seen.holdout.probabilities["candidate"]}
    outcome, reason = verdict(replace(seen, holdout=replace(seen.holdout, probabilities=ours)), guards={"brier": 0.01})
    assert outcome == "HOLD" and reason == "brier of the champion is missing."


@given(st.floats(1.0, 5.0), st.floats(0.0, 3.0), st.sampled_from(["ece", "brier"]))
@settings(max_examples=30, deadline=None)
def test_a_less_calibrated_candidate_never_holds_where_a_better_one_does_not(
    sharpness: float, further: float, name: str
) -> None:
    gate = GateSpec(guards={name: 0.01})
    better, worse = (
        next(iter(judge_guards(gate, calibrated(value, 4_000).holdout, 0.05))).outcome
        for value in (sharpness, sharpness + further)
    )
    assert better == "PASS" or worse != "PASS"


def test_calibration_is_no_floor_and_decides_nothing() -> None:
    for rules in ({"metric": "ece"}, {"floors": {"ece": 0.1}}, {"floors": {"brier": 0.1}}):
        with pytest.raises(ValidationError, match="Input should be"):
            GateSpec.model_validate(rules)


def against_previous(won: int, lost: int, n: int = 2000) -> Evidence:
    """A clear gain over the champion; `won` and `lost` are rows against the model before it."""
    seen = evidence(n=n)
    previous = seen.holdout.predictions["candidate"].copy()
    previous[300 : 300 + won] = 1 - seen.holdout.target[300 : 300 + won]
    previous[200 : 200 + lost] = seen.holdout.target[200 : 200 + lost]  # rows that the candidate has wrong
    holdout = replace(seen.holdout, predictions={**seen.holdout.predictions, "previous_champion": previous})
    return replace(seen, holdout=holdout, baselines=("previous_champion",))


def test_a_candidate_no_better_than_the_model_before_the_champion_is_held() -> None:
    outcome, reason = verdict(against_previous(0, 0))
    assert outcome == "HOLD" and "promotions go in circles" in reason and "by +0.00 points" in reason
    assert verdict(against_previous(9, 0))[0] == "HOLD"  # 0.45 points; min_gain is half a point
    assert verdict(against_previous(12, 0))[0] == "PASS"  # far less than min_over_baseline
    assert verdict(against_previous(60, 0), min_gain=0.0)[0] == "PASS"
    assert verdict(against_previous(0, 0), min_gain=0.0)[0] == "HOLD"


def test_a_gain_over_the_model_before_that_may_be_a_loss_asks_for_labels() -> None:
    outcome, reason = verdict(against_previous(42, 40, n=400), min_gain=0.0)
    assert outcome == "NOT ENOUGH EVIDENCE" and "the model that the champion replaced" in reason and "rows" in reason


def test_the_model_before_the_champion_is_no_cheap_baseline() -> None:
    seen = against_previous(12, 0)
    majority = np.zeros(2000, np.int64)
    holdout = replace(seen.holdout, predictions={**seen.holdout.predictions, "majority": majority})
    found = judge(GateSpec(floors={}), replace(seen, holdout=holdout, baselines=("majority", "previous_champion")))
    assert found.outcome == "PASS" and any("best baseline (majority" in line for line in found.reasons)
