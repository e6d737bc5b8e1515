from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import matthews_corrcoef, roc_auc_score

from ftcore.evaluation.classification.paired import (
    macro_difference,
    paired_difference,
    row_metric_difference,
)
from ftcore.evaluation.rows import Holdout, Probabilities
from ftcore.evaluation.statistics.power import rows_needed, t_quantile, t_upper_tail
from ftcore.evaluation.statistics.resampling import mcnemar_tail, sign_flip_p_value
from ftcore.evaluation.statistics.shares import share_spread, spread_of


def holdout_from(right: np.ndarray, groups: np.ndarray | None = None) -> Holdout:
    """right: [2, rows] whether candidate and champion are right; wrong answers are class 1."""
    target = np.zeros(right.shape[1], dtype=np.int64)
    predictions = {role: np.where(row, 0, 1) for role, row in zip(("candidate", "champion"), right, strict=True)}
    return Holdout(("a", "b"), target, predictions, groups)


@given(st.integers(0, 400), st.integers(0, 400))
@settings(max_examples=80)
def test_mcnemar_is_the_exact_binomial_tail(won: int, lost: int) -> None:
    wanted = stats.binom.sf(won - 1, won + lost, 0.5) if won + lost else 1.0
    assert mcnemar_tail(won, lost) == pytest.approx(wanted, rel=1e-8, abs=1e-14)


def test_mcnemar_holds_for_a_million_rows() -> None:
    assert mcnemar_tail(500_600, 499_400) == pytest.approx(stats.binom.sf(500_599, 1_000_000, 0.5), rel=1e-5)


@pytest.mark.parametrize(("gain", "rows"), [(0.01, 7_400), (0.02, 1_850), (0.03, 820), (0.05, 295)])
def test_rows_needed_as_published(gain: float, rows: int) -> None:
    assert rows_needed(0.12, gain, 0.05, 0.8) == pytest.approx(rows, rel=0.01)


def test_rows_needed_gives_the_wanted_power() -> None:
    rng = np.random.default_rng(5)
    n = rows_needed(0.12, 0.03, 0.05, 0.8)
    won, lost, _ = rng.multinomial(n, [0.075, 0.045, 0.88], size=20_000).T
    found = ((won - lost) / np.sqrt(won + lost) > 1.645).mean()
    assert found == pytest.approx(0.8, abs=0.02)


def test_rows_needed_without_discordance_is_still_finite() -> None:
    assert 0 < rows_needed(0.0, 0.005, 0.05, 0.8) < 10_000


@pytest.mark.parametrize("df", [1, 2, 3, 10, 29.9, 30, 200])
@pytest.mark.parametrize("probability", [0.95, 0.975, 0.99875])
def test_t_quantile(df: int, probability: float) -> None:
    assert t_quantile(probability, df) == pytest.approx(stats.t.ppf(probability, df), rel=1e-5)


@pytest.mark.parametrize("df", [1, 7, 29, 30, 171, 5_000])
def test_t_upper_tail(df: int) -> None:
    for t in (-3.0, -0.5, 0.0, 1.0, 2.5, 6.0):
        assert t_upper_tail(t, df) == pytest.approx(stats.t.sf(t, df), rel=0.012)


def test_interval_covers_the_true_difference() -> None:
    rng = np.random.default_rng(9)
    true, n = 0.02, 500
    counts = rng.multinomial(n, [0.07, 0.05, 0.88], size=4_000)
    inside = [(s := spread_of(won, lost, n)).bound(0.025) <= true <= s.bound(0.975) for won, lost, _ in counts]
    assert 0.94 <= np.mean(inside) <= 0.965


def test_clustered_interval_covers_where_the_plain_one_does_not() -> None:
    """60 groups of 8 rows that win or lose together."""
    rng = np.random.default_rng(10)
    groups = np.repeat(np.arange(60), 8)
    plain, clustered = [], []
    for _ in range(600):
        wins = np.repeat(rng.choice([1, -1, 0], 60, p=[0.1, 0.1, 0.8]), 8)
        for kept, spread in ((plain, share_spread(wins, None)), (clustered, share_spread(wins, groups))):
            kept.append(spread.bound(0.025) <= 0 <= spread.bound(0.975))
    assert np.mean(plain) < 0.7
    assert np.mean(clustered) >= 0.92


def test_one_group_says_as_much_as_one_row() -> None:
    wins = np.array([1] * 30 + [0] * 70)
    assert share_spread(wins, np.zeros(100, np.int64)).bound(0.05) < 0


def measured_by(won: int, lost: int, size: int = 200) -> Holdout:
    """Metrics of every kind for a candidate that wins the first rows and loses the next ones."""
    rng = np.random.default_rng(1)
    target = np.tile([0, 1], size // 2)
    right = {role: np.ones(size, bool) for role in ("candidate", "champion")}
    right["champion"][:won] = right["candidate"][won : won + lost] = False
    confident = rng.uniform(0.6, 0.9, size)
    answers, probabilities, scores = {}, {}, {}
    for role, is_right in right.items():
        answers[role] = np.where(is_right, target, 1 - target)
        chance = np.where(is_right, confident, 1 - confident)
        both = np.where(target[:, None] == np.arange(2), chance[:, None], 1 - chance[:, None])
        probabilities[role] = Probabilities(both, target)
        scores[role] = {"own.yes": is_right.astype(float), "own.much": np.where(is_right, confident, 0.1)}
    return Holdout(("a", "b"), target, answers, None, probabilities=probabilities, row_metrics=scores)


EVERY_KIND = ["accuracy", "macro_f1", "mcc", "roc_auc", "brier", "ece", "own.yes", "own.much"]


@pytest.mark.parametrize("metric", EVERY_KIND)
def test_one_group_or_two_that_are_alike_prove_nothing(metric: str) -> None:
    found = measured_by(12, 10)
    alone = paired_difference(found, metric)
    one = paired_difference(replace(found, groups=np.zeros(200, np.int64)), metric)
    assert one.lower <= -0.99 and one.upper >= 0.99 and one.ci_low <= -0.99 and one.ci_high >= 0.99
    alike = np.isin(np.arange(200), [*range(0, 6), *range(12, 17), *range(22, 111)]).astype(np.int64)
    two = paired_difference(replace(found, groups=alike), metric)
    assert two.lower <= alone.lower and two.upper >= alone.upper


@pytest.mark.parametrize(("won", "lost"), [(1, 0), (2, 0), (4, 1), (6, 2)])
@pytest.mark.parametrize("metric", ["macro_f1", "mcc", "roc_auc", "own.yes", "own.much"])
def test_a_few_rows_won_are_no_proof(metric: str, won: int, lost: int) -> None:
    """No resample of one row won and none lost loses any; a candidate half a point worse would pass in one of twelve draws."""
    accuracy, seen = (paired_difference(measured_by(won, lost), name) for name in ("accuracy", metric))
    assert accuracy.lower < -0.005 and seen.difference > 0
    assert seen.lower < accuracy.lower * (0.6 if metric == "own.much" else 0.99)  # a row is worth 0.65 of own.much
    if metric == "own.yes":
        assert (seen.lower, seen.upper, seen.p_value) == (accuracy.lower, accuracy.upper, accuracy.p_value)


def test_sign_flip_agrees_with_mcnemar_on_single_rows() -> None:
    sums = np.array([1.0] * 60 + [-1.0] * 45 + [0.0] * 400)
    assert sign_flip_p_value(sums) == pytest.approx(mcnemar_tail(60, 45), abs=0.01)


def test_identical_models_differ_by_nothing() -> None:
    right = np.random.default_rng(1).random(300) < 0.8
    for metric in ("accuracy", "macro_f1"):
        seen = paired_difference(holdout_from(np.stack([right, right])), metric)
        assert seen.difference == 0 and seen.lower <= 0 <= seen.upper and seen.p_value == 1.0


def random_classes(seed: int, n: int, gain: float, num_classes: int = 4) -> Holdout:
    rng = np.random.default_rng(seed)
    target = rng.integers(0, num_classes, n)
    wrong = (target + 1) % num_classes
    champion = np.where(rng.random(n) < 0.8, target, wrong)
    redrawn = np.where(rng.random(n) < 0.8 + 4 * gain, target, wrong)
    candidate = np.where(rng.random(n) < 0.25, redrawn, champion)
    return Holdout(tuple("abcd"), target, {"candidate": candidate, "champion": champion})


def test_macro_bootstrap_agrees_with_the_delta_method(monkeypatch: pytest.MonkeyPatch) -> None:
    holdout = random_classes(4, 2_000, 0.02)
    resampled = macro_difference(holdout, "candidate", "champion")
    monkeypatch.setattr("ftcore.evaluation.statistics.resampling._MAX_WORK", 0)
    formula = macro_difference(holdout, "candidate", "champion")
    assert "BCa" in resampled.method and "delta" in formula.method
    for name in ("ci_low", "lower", "upper", "ci_high"):
        assert getattr(resampled, name) == pytest.approx(getattr(formula, name), abs=0.001)
    assert resampled.p_value == pytest.approx(formula.p_value, abs=0.01)


def test_macro_intervals_and_p_values_keep_their_error_rate() -> None:
    """No true difference: p < .1 in about 10 % of 80 pairs, and the 95 % interval holds 0 in about 95 %."""
    seen = [macro_difference(random_classes(seed, 250, 0.0), "candidate", "champion") for seed in range(80)]
    assert 2 <= sum(item.p_value < 0.1 for item in seen) <= 16
    assert sum(item.ci_low <= 0 <= item.ci_high for item in seen) >= 70


def test_grouped_macro_interval_is_wider() -> None:
    alone = random_classes(6, 600, 0.02)
    copied = Holdout(
        alone.classes, np.repeat(alone.target, 3), {role: np.repeat(p, 3) for role, p in alone.predictions.items()}
    )
    grouped = Holdout(copied.classes, copied.target, copied.predictions, np.repeat(np.arange(600), 3))
    widths = [(d := macro_difference(h, "candidate", "champion")).ci_high - d.ci_low for h in (alone, copied, grouped)]
    assert widths[2] == pytest.approx(widths[0], rel=0.05)
    assert widths[1] == pytest.approx(widths[0] / math.sqrt(3), rel=0.05)


def test_roc_auc_is_compared_as_delong_does() -> None:
    """The variance of DeLong et al. (1988), written out: covariances of placements over the rows of each class."""
    rng = np.random.default_rng(6)
    target = rng.integers(0, 2, 300)
    scores = {role: 1 / (1 + np.exp(-(target + rng.normal(0, noise, 300)))) for role, noise in
              (("candidate", 1.0), ("champion", 3.0))}  # fmt: skip
    probabilities = {role: Probabilities(np.stack([1 - said, said], axis=1), target) for role, said in scores.items()}
    predictions = {role: (said > 0.5).astype(np.int64) for role, said in scores.items()}
    holdout = Holdout(("a", "b"), target, predictions, probabilities=probabilities)
    found = paired_difference(holdout, "roc_auc")
    wins = [said[target == 1][:, None] > said[target == 0][None] for said in scores.values()]
    placements = [(one.mean(axis=1), one.mean(axis=0)) for one in wins]
    variance = sum(np.var(placements[0][part] - placements[1][part]) / len(placements[0][part]) for part in (0, 1))
    assert found.difference == pytest.approx(
        roc_auc_score(target, scores["candidate"]) - roc_auc_score(target, scores["champion"])
    )
    # Student's t with the many degrees of freedom that 300 rows leave, in place of the normal distribution
    assert 1.959964 < (found.ci_high - found.ci_low) / 2 / math.sqrt(variance) < 1.98
    assert found.lower > found.ci_low and found.p_value < 0.05
    with pytest.raises(ValueError, match="not defined"):
        paired_difference(Holdout(("a", "b"), target, predictions), "brier")


def test_a_users_own_metric_is_compared_by_row() -> None:
    rng = np.random.default_rng(2)
    champion = rng.uniform(0, 0.8, 240)
    rows = {"candidate": {"own.x": champion + 0.1}, "champion": {"own.x": champion}}
    codes = np.zeros(240, dtype=np.int64)
    holdout = Holdout(("a",), codes, {"candidate": codes, "champion": codes}, row_metrics=rows)
    found = paired_difference(holdout, "own.x")
    assert found.difference == pytest.approx(0.1) and found.p_value < 1e-3
    assert (found.ci_low, found.ci_high) == pytest.approx((0.1, 0.1))  # every row gains the same
    noisy = {"candidate": {"own.x": rng.permutation(champion)}, "champion": {"own.x": champion}}
    found = paired_difference(replace(holdout, row_metrics=noisy), "own.x")
    assert found.ci_low < 0 < found.ci_high and found.p_value > 0.05


def test_mcc_is_compared_by_resampling() -> None:
    right = np.array([[True] * 90 + [False] * 10, [True] * 60 + [False] * 40])
    holdout = holdout_from(right)
    target = np.arange(100) % 2
    predictions = {
        role: np.where(row, target, 1 - target) for role, row in zip(("candidate", "champion"), right, strict=True)
    }
    found = paired_difference(replace(holdout, target=target, predictions=predictions), "mcc")
    wanted = [matthews_corrcoef(target, predictions[role]) for role in ("candidate", "champion")]
    assert found.difference == pytest.approx(wanted[0] - wanted[1]) and found.p_value < 0.01


@pytest.mark.parametrize("num_groups", [3, 8, 25])
def test_few_groups_promise_no_more_than_they_hold(num_groups: int) -> None:
    """A user's own metric, no true difference; groups differ. The 95 % lower bound is above 0 in about one draw of twenty."""
    rng, above = np.random.default_rng(num_groups), 0
    groups = np.repeat(np.arange(num_groups), 12)
    target = np.zeros(len(groups), dtype=np.int64)
    for _ in range(300 if num_groups < 20 else 60):
        shift = 0.1 * rng.standard_normal(num_groups)[groups]
        rows = {role: np.clip(0.5 + sign * shift + 0.05 * rng.standard_normal(len(groups)), 0, 1)
                for role, sign in (("candidate", 1), ("champion", -1))}  # fmt: skip
        measured = {role: {"own.x": found} for role, found in rows.items()}
        holdout = Holdout(("a",), target, dict.fromkeys(rows, target), groups, row_metrics=measured)
        above += row_metric_difference(holdout, "candidate", "champion", "own.x").lower > 0
    assert above <= (27 if num_groups < 20 else 9)
