"""Guards, negative flips, pinned rows, size and speed, slices by name: each must hold, and what cannot be judged is no PASS."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ftcore.evaluation.gate.evidence import Canaries, Evidence, Pinned, Profile
from ftcore.evaluation.gate.judge import judge
from ftcore.evaluation.rows import Column, Holdout
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
    assert verdict(evidence(canaries=Canaries(8, 0, 0)))[0] == "PASS"
    assert verdict(evidence(canaries=Canaries(8, 2, 2)))[0] == "PASS"
    outcome, reason = verdict(evidence(canaries=Canaries(8, 1, 0)))
    assert outcome == "FAIL" and reason.startswith("1 of 8 canaries came back word by word; allowed 0")


def test_one_pinned_row_that_fails_stops_any_gain() -> None:
    rows = [Pinned(f"p{number}", number != 3) for number in range(9)]
    assert verdict(evidence(pinned=tuple(rows[:3])))[0] == "PASS"
    outcome, reason = verdict(evidence(pinned=tuple(rows)))
    assert outcome == "FAIL" and reason == "1 of 9 pinned rows must pass and do not: p3."


@pytest.mark.parametrize(
    ("gate", "profiles", "outcome"),
    [
        ({"max_size_mb": 90}, {"candidate": Profile(size_mb=90)}, "PASS"),
        ({"max_size_mb": 90}, {"candidate": Profile(size_mb=91)}, "FAIL"),
        ({"max_size_mb": 90}, {}, "HOLD"),
        ({"max_latency_ms": 5}, {"candidate": Profile(latency_ms=4)}, "PASS"),
        ({"max_latency_ms": 5}, {"candidate": Profile(latency_ms=6)}, "FAIL"),
        ({"max_latency_ratio": 1.5}, {"candidate": Profile(latency_ms=6), "champion": Profile(latency_ms=5)}, "PASS"),
        ({"max_latency_ratio": 1.1}, {"candidate": Profile(latency_ms=6), "champion": Profile(latency_ms=5)}, "FAIL"),
        ({"max_latency_ratio": 1.1}, {"candidate": Profile(latency_ms=6)}, "HOLD"),
    ],
)
def test_size_and_speed_are_limited(gate: dict[str, float], profiles: dict[str, Profile], outcome: str) -> None:
    assert verdict(evidence(profiles=profiles), **gate)[0] == outcome


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


def test_failures_come_before_holds_and_holds_before_lack_of_evidence() -> None:
    seen = evidence(12, 10, 600, pinned=(Pinned("p", False),))
    found = judge(GateSpec(floors={}, max_size_mb=1), seen)
    assert found.outcome == "FAIL" and "pinned" in found.reasons[0] and "not measured" in found.reasons[1]
    assert "Label" in found.reasons[2] and len(found.reasons) == 3
