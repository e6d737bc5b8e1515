"""Slices: what blocks, and how often by chance."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftcore.evaluation.gate.evidence import Evidence
from ftcore.evaluation.gate.judge import judge
from ftcore.evaluation.gate.slices import SliceComparison, compare_slices
from ftcore.evaluation.rows import Column, Holdout
from ftcore.spec import GateSpec

GATE = GateSpec(floors={})


def holdout_of(counts: list[tuple[int, int, int]]) -> Holdout:
    """One slice per (rows, won, lost); on all other rows both are right."""
    target = np.zeros(sum(rows for rows, _, _ in counts), np.int64)
    candidate, champion, start = target.copy(), target.copy(), 0
    for rows, won, lost in counts:
        champion[start : start + won] = 1
        candidate[start + won : start + won + lost] = 1
        start += rows
    column = Column.of([f"s{number}" for number, (rows, _, _) in enumerate(counts) for _ in range(rows)])
    return Holdout(("a", "b"), target, {"candidate": candidate, "champion": champion}, slices={"source": column})


def by_value(holdout: Holdout, gate: GateSpec = GATE) -> dict[str, SliceComparison]:
    return {item.value: item for item in compare_slices(holdout, gate)}


def test_a_slice_far_below_the_others_blocks_where_the_correction_alone_would_not() -> None:
    """6 points on 200 rows among ten slices: not beyond doubt by itself, but far from nine slices that gained."""
    found = by_value(holdout_of([(200, 6, 18), *[(200, 14, 10)] * 9]))["s0"]
    assert found.upper is not None and found.upper > 0
    assert found.blocked and "drops by 6.0 points, far from all other rows" in found.reason
    assert not by_value(holdout_of([(200, 6, 18), *[(200, 10, 14)] * 9]))["s0"].blocked, "all slices fall a little"


def test_a_small_drop_is_not_set_apart_however_much_the_others_gain() -> None:
    assert not by_value(holdout_of([(2000, 0, 70), (2000, 400, 0)]), GATE.model_copy(update={"margin": 0.04}))[
        "s0"
    ].blocked
    assert by_value(holdout_of([(2000, 0, 90), (2000, 400, 0)]), GATE.model_copy(update={"margin": 0.5}))["s0"].blocked


def test_a_slice_of_all_rows_has_no_others_to_be_far_from() -> None:
    holdout = holdout_of([(300, 5, 30)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a mean of no rows
        found = by_value(dataclasses.replace(holdout, groups=np.arange(300) // 2))
    assert found["s0"].blocked and "is worse by" in found["s0"].reason


@pytest.mark.parametrize(("num_groups", "is_judged"), [(1, False), (9, False), (10, True)])
def test_a_slice_of_few_groups_is_not_judged_and_one_that_the_gate_names_is_wanted(
    num_groups: int, is_judged: bool
) -> None:
    """100 rows of one customer fall by 40 points: no bound of one group tells, so silence would be a PASS."""
    holdout = holdout_of([(100, 0, 40), (1900, 120, 20)])
    groups = np.where(np.arange(2000) < 100, np.arange(2000) % num_groups, np.arange(2000))
    holdout = dataclasses.replace(holdout, groups=np.unique(groups, return_inverse=True)[1])
    gate = GateSpec(floors={}, slices={"source": ["s0"]})
    assert (by_value(holdout, gate)["s0"].upper is not None) == is_judged
    found = judge(gate, Evidence(holdout))
    if is_judged:
        assert found.outcome == "FAIL"
    else:
        more = "1 more group" if num_groups == 9 else "9 more groups"
        assert found.outcome == "NOT ENOUGH EVIDENCE" and any(more in reason for reason in found.reasons)


def test_a_few_groups_are_no_proof() -> None:
    """The 12 rows that a slice loses belong to two groups of its twenty."""
    holdout = holdout_of([(200, 2, 14), (1800, 120, 84)])
    assert by_value(holdout)["s0"].blocked
    groups = np.arange(2000) // 10
    assert not by_value(dataclasses.replace(holdout, groups=groups))["s0"].blocked


@given(st.lists(st.tuples(st.integers(1, 400), st.floats(0, 0.3), st.floats(0, 0.3)), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_what_blocks_has_dropped(shares: list[tuple[int, float, float]]) -> None:
    found = compare_slices(holdout_of([(n, int(won * n), int(lost * n)) for n, won, lost in shares]), GATE)
    for item in found:
        assert bool(item.reason) == item.blocked
        if item.blocked:
            assert item.n >= GATE.min_slice_rows and item.difference < -GATE.margin and item.ci_low < 0


@pytest.mark.parametrize(("num", "times"), [(2, 300), (10, 300)])
def test_rates(num: int, times: int) -> None:
    """docs/decision-statistics.md: 8 points on 200 rows are caught in 9 of 10 decisions, chance blocks in 1 of 20."""
    rng = np.random.default_rng(5)
    caught = false = 0
    for _ in range(times):
        for truth in ([-0.08, *[0.02] * (num - 1)], [0.0] * num):
            sizes = [200, *[1800 // (num - 1)] * (num - 1)]
            draws = [
                rng.multinomial(n, [(0.12 + d) / 2, (0.12 - d) / 2, 0.88]) for n, d in zip(sizes, truth, strict=True)
            ]
            found = by_value(
                holdout_of([(n, int(won), int(lost)) for n, (won, lost, _) in zip(sizes, draws, strict=True)])
            )
            if truth[0] < 0:
                caught += found["s0"].blocked
            else:
                false += any(item.blocked for item in found.values())
    assert caught >= 0.87 * times
    assert false <= 0.08 * times
