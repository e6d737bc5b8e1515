from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftcore.evaluation.gate.evidence import Evidence
from ftcore.evaluation.gate.judge import judge, judge_difference
from ftcore.evaluation.gate.slices import compare_slices
from ftcore.evaluation.rows import Column, Holdout
from ftcore.evaluation.statistics.differences import Difference
from ftcore.evaluation.statistics.power import rows_needed
from ftcore.evaluation.statistics.resampling import mcnemar_tail
from ftcore.evaluation.statistics.shares import spread_of
from ftcore.spec import GateSpec

GATE = GateSpec(floors={})
RANK = {"FAIL": 0, "HOLD": 1, "NOT ENOUGH EVIDENCE": 2, "PASS": 3}


def holdout_of_counts(won: int, lost: int, n: int, both_wrong: int = 0, **more: Any) -> Holdout:
    """Two classes; `won` rows only the candidate has right, `lost` only the champion, the rest both or neither."""
    target = np.arange(n) % 2
    candidate, champion = target.copy(), target.copy()
    champion[:won] = 1 - champion[:won]
    candidate[won : won + lost] = 1 - candidate[won : won + lost]
    candidate[won + lost : won + lost + both_wrong] = 1 - candidate[won + lost : won + lost + both_wrong]
    champion[won + lost : won + lost + both_wrong] = 1 - champion[won + lost : won + lost + both_wrong]
    return Holdout(("a", "b"), target, {"candidate": candidate, "champion": champion}, **more)


def difference_of(won: int, lost: int, n: int) -> Difference:
    spread = spread_of(won, lost, n)
    return Difference(
        "accuracy", 0.8, 0.8 + (won - lost) / n, (won - lost) / n, spread.bound(0.025), spread.bound(0.975),
        spread.bound(0.05), spread.bound(0.95), mcnemar_tail(won, lost), n, (won + lost) / n, "",
    )  # fmt: skip


def outcome(gate: GateSpec, seen: Difference) -> str:
    return min((finding.outcome for finding in judge_difference(gate, seen, gate.alpha)), key=RANK.__getitem__)


def test_a_clear_gain_passes_on_few_rows() -> None:
    found = judge(GATE, Evidence(holdout_of_counts(120, 30, 600)))
    assert found.outcome == "PASS"
    assert "+15.00 points" in found.reasons[0] and "the smallest such gain is told from none on" in found.reasons[0]
    assert found.metrics[0].n_needed > 600


def test_a_small_gain_on_few_rows_asks_for_labels() -> None:
    found = judge(GATE, Evidence(holdout_of_counts(36, 30, 600)))
    assert found.outcome == "NOT ENOUGH EVIDENCE"
    needed = found.metrics[0].n_needed
    assert f"Label {needed - 600:,} more rows" in found.reasons[0]


def test_a_later_look_needs_more_rows() -> None:
    """At the tenth decision bounds are at 99.5 %, and the rows that tell a gain from none are those for 99.5 %."""
    evidence = Evidence(holdout_of_counts(36, 30, 600))
    first, tenth = judge(GATE, evidence), judge(GATE, replace(evidence, look=10))
    assert first.metrics[0].n_needed == rows_needed(66 / 600, 0.005, 0.05, 0.8)
    assert tenth.metrics[0].n_needed == rows_needed(66 / 600, 0.005, 0.005, 0.8) > first.metrics[0].n_needed
    assert f"({tenth.metrics[0].n_needed:,} in all)" in tenth.reasons[0]


def test_what_is_enough_at_the_first_look_is_not_at_a_later_one() -> None:
    """2,118 rows tell a gain of one point from none at 95 %, 4,002 at 99.5 %; on 3,500 none is shown."""
    gate = GateSpec(floors={}, min_gain=0.01)
    evidence = Evidence(holdout_of_counts(70, 50, 3_500, 200))
    assert judge(gate, evidence).outcome == "FAIL"
    later = judge(gate, replace(evidence, look=10))
    assert later.outcome == "NOT ENOUGH EVIDENCE" and "Label" in later.reasons[0]


def test_fewer_rows_than_min_rows_are_never_enough() -> None:
    found = judge(GATE, Evidence(holdout_of_counts(60, 0, 199)))
    assert found.outcome == "NOT ENOUGH EVIDENCE" and "199 rows" in found.reasons[0]


def test_no_difference_never_passes_even_where_no_gain_is_asked() -> None:
    gate = GateSpec(floors={}, min_gain=0, margin=0.05)
    assert judge(gate, Evidence(holdout_of_counts(30, 30, 3000))).outcome != "PASS"
    assert judge(gate, Evidence(holdout_of_counts(31, 30, 3000))).outcome == "PASS"


def test_a_worse_candidate_fails() -> None:
    assert judge(GATE, Evidence(holdout_of_counts(60, 120, 2000))).outcome == "FAIL"


@pytest.mark.parametrize("n", [50, 600, 5000])
def test_the_same_answers_are_held(n: int) -> None:
    found = judge(GATE, Evidence(holdout_of_counts(0, 0, n, n // 10)))
    assert found.outcome == "HOLD" and "exactly as the champion" in found.reasons[0] and not found.looked


def test_one_more_right_row_in_many_fails() -> None:
    found = judge(GATE, Evidence(holdout_of_counts(1, 0, 5000, 500)))
    assert found.outcome == "FAIL" and "ruled out" in found.reasons[0]


def test_strict_adds_mcnemar() -> None:
    evidence = Evidence(holdout_of_counts(130, 110, 2000))
    assert judge(GATE, evidence).outcome == "PASS"
    assert judge(GATE.model_copy(update={"strict": True}), evidence).outcome == "NOT ENOUGH EVIDENCE"


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_alpha_is_the_level_of_every_bound(metric: str) -> None:
    """40 rows won, 22 lost of 2,000: a gain at 95 %, and none beyond doubt at 99.9 %. So it is for a baseline."""
    loose, tight = (GateSpec(metric=metric, margin=0, floors={}, alpha=alpha) for alpha in (0.05, 0.001))
    evidence = Evidence(holdout_of_counts(40, 22, 2000))
    found = judge(loose, evidence)
    assert found.outcome == "PASS" and "one-sided 95 % bounds" in found.reasons[0]
    found = judge(tight, evidence)
    assert found.outcome == "NOT ENOUGH EVIDENCE" and "one-sided 99.9 % bounds" in found.reasons[0]
    holdout = evidence.holdout
    above = Evidence(replace(holdout, predictions={**holdout.predictions, "majority": holdout.predictions["champion"]}))
    above = replace(above, baselines=("majority",))
    said = [
        reason
        for gate in (loose, tight)
        for reason in judge(gate.model_copy(update={"min_over_baseline": 0.0}), above).reasons
        if "best baseline" in reason
    ]
    assert ["lower 95 % bound +" in said[0], "lower 99.9 % bound -" in said[1]] == [True, True]


def test_alpha_is_the_level_of_slices() -> None:
    evidence = Evidence(sliced(24))
    blocked = judge(GATE, evidence)
    assert blocked.outcome == "FAIL" and any("upper 97.5 % bound" in reason for reason in blocked.reasons)
    tight = judge(GATE.model_copy(update={"alpha": 1e-12}), evidence)
    assert not any(item.blocked for item in tight.slices)


def test_macro_f1_can_decide() -> None:
    found = judge(GateSpec(metric="macro_f1", floors={}), Evidence(holdout_of_counts(120, 30, 600)))
    assert found.outcome == "PASS" and [metric.name for metric in found.metrics] == ["macro_f1", "accuracy"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"faults": ("accuracy of the candidate is missing.",)}, "is missing"),
        ({"candidate_digest": "abc", "champion_digest": "abc"}, "already the champion"),
        ({"baselines": ("majority",)}, "majority are missing"),
        ({"holdout": Holdout((), np.zeros(0, np.int64), {})}, "empty"),
    ],
)
def test_integrity_faults_hold_even_a_clear_gain(change: dict[str, Any], reason: str) -> None:
    found = judge(GATE, replace(Evidence(holdout_of_counts(120, 30, 600)), **change))
    assert found.outcome == "HOLD" and any(reason in line for line in found.reasons)


def test_different_row_counts_hold() -> None:
    holdout = holdout_of_counts(120, 30, 600)
    short = replace(holdout, predictions={**holdout.predictions, "champion": holdout.target[:500]})
    found = judge(GATE, Evidence(short))
    assert found.outcome == "HOLD"


def test_an_unknown_or_infinite_floor_holds() -> None:
    for floors in ({"bleu": 0.1}, {"accuracy": float("nan")}):
        gate = GATE.model_copy(update={"floors": floors})
        assert judge(gate, Evidence(holdout_of_counts(120, 30, 600))).outcome == "HOLD"


def test_floors_hold_against_any_gain() -> None:
    gate = GateSpec(floors={"accuracy": 0.9})
    found = judge(gate, Evidence(holdout_of_counts(300, 30, 1000, both_wrong=200)))
    assert found.outcome == "FAIL" and "floor" in found.reasons[0]


def first(candidate_right: float, baseline_right: float, n: int = 600, **gate: Any) -> tuple[str, str]:
    target = np.arange(n) % 2
    predictions = {}
    for role, share in (("candidate", candidate_right), ("majority", baseline_right)):
        predictions[role] = np.where(np.arange(n) < share * n, target, 1 - target)
    found = judge(GateSpec(**gate), Evidence(Holdout(("a", "b"), target, predictions), ("majority",)))
    return found.outcome, found.reasons[0]


def test_first_promotion() -> None:
    assert first(0.9, 0.5)[0] == "PASS"
    assert first(0.65, 0.3)[0] == "FAIL"  # floor
    assert first(0.9, 0.89)[0] == "HOLD"  # not enough above the baseline
    assert first(0.9, 0.5, n=150)[0] == "NOT ENOUGH EVIDENCE"
    assert first(0.9, 0.5, floors={})[0] == "HOLD"  # nothing to judge by


def test_first_promotion_needs_baselines() -> None:
    holdout = holdout_of_counts(0, 0, 600)
    alone = replace(holdout, predictions={"candidate": holdout.target})
    found = judge(GateSpec(), Evidence(alone))
    assert found.outcome == "HOLD" and "baselines" in found.reasons[0]


def test_a_gain_over_the_baseline_that_chance_explains_is_not_enough() -> None:
    rng = np.random.default_rng(2)
    target = np.zeros(300, np.int64)
    wrong = {"candidate": rng.permutation(300)[:60], "majority": rng.permutation(300)[:69]}
    predictions = {role: np.where(np.isin(np.arange(300), rows), 1, 0) for role, rows in wrong.items()}
    found = judge(GateSpec(floors={"accuracy": 0.5}), Evidence(Holdout(("a", "b"), target, predictions), ("majority",)))
    assert found.outcome == "NOT ENOUGH EVIDENCE" and "lower 95 % bound" in found.reasons[0]


@given(
    st.integers(200, 5000), st.floats(0, 0.4), st.floats(0, 0.4), st.floats(0, 0.05), st.floats(0, 0.05), st.booleans()
)
@settings(max_examples=150)
def test_never_pass_unless_better(n: int, won: float, lost: float, margin: float, gain: float, strict: bool) -> None:
    gate = GateSpec(floors={}, margin=margin, min_gain=gain, strict=strict)
    seen = difference_of(int(won * n), int(lost * n), n)
    if outcome(gate, seen) == "PASS":
        assert seen.difference > 0 and seen.difference >= gain and seen.lower > -margin


@given(st.integers(200, 3000), st.integers(0, 200), st.integers(0, 200), st.floats(0, 0.03), st.floats(0, 0.03))
@settings(max_examples=150)
def test_one_more_right_answer_never_costs_a_pass(n: int, won: int, lost: int, margin: float, gain: float) -> None:
    gate = GateSpec(floors={}, margin=margin, min_gain=gain)
    won, lost = min(won, n // 3), min(lost, n // 3)
    if outcome(gate, difference_of(won, lost, n)) == "PASS":
        assert outcome(gate, difference_of(won + 1, lost, n)) == "PASS"
        if lost:
            assert outcome(gate, difference_of(won, lost - 1, n)) == "PASS"


def rates(n: int, true: float, gate: GateSpec, decisions: int = 4000) -> Counter[str]:
    """Shares of outcomes with a true difference and 12 % discordance; seed 7."""
    won, lost = (0.12 + true) / 2, (0.12 - true) / 2
    draws = Counter(
        map(tuple, np.random.default_rng(7).multinomial(n, [won, lost, 0.88], size=decisions)[:, :2].tolist())
    )
    found: Counter[str] = Counter()
    for (num_won, num_lost), times in draws.items():
        found[outcome(gate, difference_of(num_won, num_lost, n))] += times / decisions  # type: ignore[assignment]
    return found


def test_error_rates() -> None:
    """The table of the gate's docstring: worse models hardly ever pass, gains of 2 points hardly ever fail."""
    assert rates(2000, -0.01, GATE)["PASS"] <= 0.018
    assert rates(600, -0.01, GATE)["PASS"] <= 0.035
    assert rates(2000, 0.02, GATE)["PASS"] >= 0.93
    assert rates(2000, 0.02, GATE)["FAIL"] <= 0.003
    assert rates(600, 0.05, GATE)["PASS"] >= 0.98
    assert rates(2000, 0.0, GATE)["PASS"] == pytest.approx(0.16, abs=0.02)
    for n in (300, 600, 2000):
        assert rates(n, 0.0, GateSpec(floors={}, margin=0))["PASS"] <= 0.055
        assert rates(n, -GATE.margin, GATE)["PASS"] <= 0.06
    assert rates(2000, -0.01, GateSpec(floors={}, strict=True))["PASS"] <= 0.003


def sliced(drop: int, rows: int = 300, n: int = 3000) -> Holdout:
    """+3 points overall; the first `rows` rows are slice `bad`, on which the candidate loses `drop` rows."""
    target = np.zeros(n, np.int64)
    candidate, champion = target.copy(), target.copy()
    candidate[:drop] = 1
    champion[rows : rows + 90 + drop] = 1
    column = Column.of(["bad"] * rows + ["good"] * (n - rows))
    return Holdout(("a", "b"), target, {"candidate": candidate, "champion": champion}, slices={"source": column})


def test_a_slice_that_gets_worse_blocks() -> None:
    assert judge(GATE, Evidence(sliced(0))).outcome == "PASS"
    found = judge(GATE, Evidence(sliced(24)))
    assert found.outcome == "FAIL" and "source='bad' (300 rows)" in found.reasons[0]
    assert [item.value for item in found.slices if item.blocked] == ["bad"]


def test_a_slice_that_is_certainly_worse_blocks_before_five_points() -> None:
    found = judge(GATE, Evidence(sliced(40, rows=1000)))
    assert found.outcome == "FAIL" and "(Holm)" in found.reasons[0]


def test_a_small_slice_is_shown_but_does_not_block() -> None:
    found = judge(GATE, Evidence(sliced(24, rows=99)))
    assert found.outcome == "PASS"
    small = next(item for item in found.slices if item.value == "bad")
    assert small.n == 99 and small.upper is None


def test_slice_figures() -> None:
    """A slice of 200 rows that is 8 points worse is caught in 90 % of 200 decisions; equal slices block in at most 5 %."""
    caught, false = 0, 0
    rng = np.random.default_rng(12)
    for _ in range(200):
        for true in (-0.08, 0.0):
            n, size = 2000, 200
            column = Column.of(["bad"] * size + ["good"] * (n - size))
            roll = rng.random(n)
            share = np.where(np.arange(n) < size, (0.12 + true) / 2, 0.075)
            won = roll < share
            lost = (roll >= share) & (roll < 0.12)
            target = np.zeros(n, np.int64)
            predictions = {"candidate": lost.astype(np.int64), "champion": won.astype(np.int64)}
            blocked = any(
                item.blocked
                for item in compare_slices(Holdout(("a", "b"), target, predictions, slices={"s": column}), GATE)
            )
            caught += blocked and true < 0
            false += blocked and true == 0
    assert caught >= 174  # 90 % within sampling error
    assert false <= 16


def test_a_champion_that_lacks_a_new_class_is_simply_wrong_there() -> None:
    target = np.array([0] * 400 + [1] * 100)
    predictions = {"candidate": target.copy(), "champion": np.zeros(500, np.int64)}
    found = judge(GATE, Evidence(Holdout(("old", "new"), target, predictions)))
    assert found.outcome == "PASS" and found.metrics[0].champion == pytest.approx(0.8)
