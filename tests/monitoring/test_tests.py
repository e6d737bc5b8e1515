"""The statistics: calibrated without change, sharp with it, exact where classes are rare."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact, hypergeom

from ftcore.monitoring.tests import (
    Sample,
    compare_windows,
    holm,
    ks_test,
    label_test,
    mmd_test,
    most_unlike,
    num_resamples,
    rbf_kernel,
    repeated_share,
    repeats_test,
    witness,
)
from ftcore.records import DriftTest


def traffic(rng: np.random.Generator, n: int, new_share: float = 0.0) -> Sample:
    """A classifier's view of 12 intents, one cluster each; a share of the rows is of an intent it has never seen."""
    centres = np.random.default_rng(99).normal(size=(13, 32)) * 1.6
    kinds = rng.choice(12, size=n, p=np.arange(1, 13) / 78)
    kinds[: round(new_share * n)] = 12
    embeddings = centres[kinds] + rng.normal(size=(n, 32))
    scores = embeddings @ centres[:12].T
    return Sample(
        labels=[f"intent_{kind}" for kind in scores.argmax(axis=1)],
        confidence=1 / np.exp(scores - scores.max(axis=1, keepdims=True)).sum(axis=1),
        length=rng.lognormal(3.5, 0.5, size=n).round(),
        embeddings=embeddings,
    )


def one(name: str, p: float) -> DriftTest:
    return DriftTest(name=name, statistic=0.0, p_value=p, p_adjusted=p, effect=0.0, floor=0.0)


def test_false_alarms_stay_under_alpha() -> None:
    """150 windows without change at alpha 0.05: at most 13 (9 %; chance of more: 2 %) may have any significant test."""
    rng = np.random.default_rng(1)
    alarms = sum(
        min(test.p_adjusted for test in compare_windows(traffic(rng, 120), traffic(rng, 100), alpha=0.05, seed=seed))
        < 0.05
        for seed in range(150)
    )
    assert alarms <= 13
    assert alarms >= 1  # a test that never fires is not calibrated, it is broken


@pytest.mark.parametrize("share", [0.2, 0.4])
def test_a_new_intent_is_found(share: float) -> None:
    rng = np.random.default_rng(2)
    for seed in range(4):
        tests = compare_windows(traffic(rng, 600), traffic(rng, 400, share), seed=seed)
        assert any(test.p_adjusted < 0.01 and test.effect >= test.floor for test in tests), (seed, tests)


def test_each_test_sees_its_own_kind_of_change() -> None:
    rng = np.random.default_rng(3)
    before, now = traffic(rng, 500), traffic(rng, 500)
    assert now.length is not None
    assert now.embeddings is not None
    longer = replace(now, length=now.length * 1.5)
    moved = replace(now, embeddings=now.embeddings + 1.0)
    flipped = replace(
        now, labels=["intent_0" if number % 3 else label for number, label in enumerate(now.labels or ())]
    )
    for changed, name in ((longer, "length"), (moved, "embeddings"), (flipped, "labels")):
        found = [test.name for test in compare_windows(before, changed) if test.p_adjusted < 0.01]
        assert found == [name]


def test_label_test_agrees_with_fisher() -> None:
    """Two classes: the resampled p is Fisher's exact one (same margins, same order of tables by Pearson's statistic)."""
    rng = np.random.default_rng(4)
    for a, b, c, d in ((20, 5, 12, 13), (3, 30, 1, 25), (8, 8, 8, 8)):
        p = label_test(["x"] * a + ["y"] * b, ["x"] * c + ["y"] * d, 40_000, rng).p_value
        drawn = np.arange(0, a + c + 1)
        chance = hypergeom(a + b + c + d, a + c, c + d).pmf(drawn)
        expected = (c + d) * (a + c) / (a + b + c + d)
        exact = chance[np.abs(drawn - expected) >= abs(c - expected) - 1e-9].sum()
        assert p == pytest.approx(exact, abs=0.012)
        assert fisher_exact([[a, b], [c, d]]).pvalue == pytest.approx(exact, abs=0.06)


def test_label_effect_is_about_nothing_without_change() -> None:
    """Raw total variation between two samples of 20 classes is near 0.1; ours is corrected for that."""
    rng = np.random.default_rng(5)
    effects = [
        label_test(
            [str(x) for x in rng.integers(0, 20, 500)], [str(x) for x in rng.integers(0, 20, 500)], 999, rng
        ).effect
        for _ in range(20)
    ]
    assert np.mean(effects) < 0.02
    moved = label_test(["a"] * 300 + ["b"] * 200, ["a"] * 200 + ["b"] * 200 + ["new"] * 100, 999, rng)
    assert 0.15 <= moved.effect <= 0.2  # the correction errs towards small
    assert moved.p_value == 1 / 1000


@given(st.lists(st.floats(1e-9, 1), min_size=1, max_size=6))
def test_holm(ps: list[float]) -> None:
    adjusted = [test.p_adjusted for test in holm([one(str(number), p) for number, p in enumerate(ps)])]
    order = sorted(range(len(ps)), key=lambda position: ps[position])
    running = 0.0
    for rank, position in enumerate(order):
        running = max(running, min(1.0, ps[position] * (len(ps) - rank)))
        assert adjusted[position] == running
        assert adjusted[position] >= ps[position]


@settings(max_examples=30)
@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 10_000))
def test_mmd_is_the_textbook_one(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, 3)), rng.normal(size=(m, 3)) + 0.5
    kernel = rbf_kernel(np.concatenate([x, y]).astype(np.float32)).astype(float)
    xx = (kernel[:n, :n].sum() - n) / (n * (n - 1))
    yy = (kernel[n:, n:].sum() - m) / (m * (m - 1))
    wanted = xx + yy - 2 * kernel[:n, n:].mean()
    assert mmd_test(x, y, 19, rng).statistic == pytest.approx(wanted, abs=1e-5)


def test_witness_leaves_the_row_itself_out() -> None:
    rng = np.random.default_rng(7)
    kernel = rbf_kernel(rng.normal(size=(9, 2)).astype(np.float32))
    scores = witness(kernel, 5)
    assert scores[0] == pytest.approx(kernel[0, 5:].mean() - kernel[0, 1:5].mean(), abs=1e-6)
    assert scores[8] == pytest.approx(kernel[8, 5:8].mean() - kernel[8, :5].mean(), abs=1e-6)


def test_most_unlike_finds_the_new_kind() -> None:
    rng = np.random.default_rng(8)
    before, now = traffic(rng, 400), traffic(rng, 300, 0.2)
    assert before.embeddings is not None
    assert now.embeddings is not None
    found = most_unlike(before.embeddings, now.embeddings, 10, rng)
    assert len(set(found)) == 10
    assert sum(position < 60 for position in found) >= 9  # the first 60 rows are the new kind


def test_constant_and_tiny_columns_are_no_drift() -> None:
    rng = np.random.default_rng(9)
    same = Sample(["a"] * 300, np.ones(300), np.zeros(300), np.zeros((300, 4)))
    for test in compare_windows(same, same):
        assert (test.p_value, test.effect) == (1.0, 0.0), test.name
    assert mmd_test(np.zeros((2, 1)), np.zeros((2, 1)), 99, rng).p_value == 1.0


def test_columns_that_are_not_there_are_not_tested() -> None:
    assert compare_windows(Sample(length=np.arange(9.0)), Sample(["a"])) == []
    names = [test.name for test in compare_windows(Sample(["a"] * 9), Sample(["a"] * 9, length=np.arange(9.0)))]
    assert names == ["labels"]


@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.001])
def test_resampling_can_reach_any_alpha(alpha: float) -> None:
    """With too few resamples the smallest p could never pass Holm's threshold: an alarm that cannot sound."""
    assert 4 / (num_resamples(alpha) + 1) < alpha


def test_same_seed_same_answer() -> None:
    rng = np.random.default_rng(10)
    before, now = traffic(rng, 300), traffic(rng, 300)
    assert compare_windows(before, now, seed=5) == compare_windows(before, now, seed=5)


def test_ks_takes_unequal_sides() -> None:
    test = ks_test("length", np.arange(100.0), np.arange(50.0, 90.0))
    assert test.statistic == test.effect == pytest.approx(0.5)


def replies_of(rng: np.random.Generator, n: int, kinds: int, length: int = 5) -> list[str]:
    """Random replies among so many."""
    return [f"{number:0{length}d}" for number in rng.integers(0, kinds, n)]


def test_replies_have_tests_of_their_own_and_no_labels() -> None:
    rng = np.random.default_rng(4)
    calm = [Sample(replies=replies_of(rng, n, 9000), ended=list(rng.random(n) < 0.9)) for n in (400, 250)]
    tests = {test.name: test for test in compare_windows(calm[0], calm[1])}
    assert set(tests) == {"reply_length", "ended", "repeats"}
    assert all(test.p_adjusted > 0.05 for test in tests.values())

    stuck = Sample(replies=["sorry, wait"] * 60 + replies_of(rng, 190, 9000), ended=list(rng.random(250) < 0.5))
    tests = {test.name: test for test in compare_windows(calm[0], stuck)}
    assert all(test.p_adjusted < 0.01 and test.effect > 0.1 for test in tests.values())


def test_repeats_by_chance_are_no_finding_whatever_the_sizes() -> None:
    """A window of 200 repeats itself far more than one of 50 drawn from the same replies."""
    rng = np.random.default_rng(1)
    p_values, effects = [], []
    for _ in range(150):
        reference, current = replies_of(rng, 50, 250), replies_of(rng, 200, 250)
        test = repeats_test(reference, current, 99, rng)
        assert repeated_share(current) > repeated_share(reference) + 0.1
        p_values.append(test.p_value)
        effects.append(test.effect)
    assert sum(p <= 0.1 for p in p_values) <= 27  # of 150 at 10 %: a binomial passes 27 about once in 1,000
    assert np.mean(effects) < 0.1
