"""Bounds of a difference of calibration errors: on the side of doubt, whatever the calibration of either model."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.calibration_guard import two_models
from ftcore.evaluation.classification import calibration
from ftcore.evaluation.classification.calibration import ece_difference
from ftcore.evaluation.classification.paired import paired_difference
from ftcore.evaluation.classification.probabilities import brier, ece
from ftcore.evaluation.rows import Holdout, Ints, Probabilities


def bounds(found: tuple[Probabilities, Probabilities], groups: Ints | None = None) -> tuple[float, float, float]:
    seen = ece_difference(ece(found[0]), ece(found[1]), groups, 0.05)
    return seen.lower, seen.difference, seen.upper


@pytest.mark.parametrize(("ours", "theirs"), [(1.0, 1.0), (1.5, 1.0), (0.6, 1.0), (1.5, 1.5)])
def test_the_upper_bound_is_seldom_below_the_truth(ours: float, theirs: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """100 holdouts of 1,000 rows. With 95 % bounds 5 in 100 may miss; P(more than 12 | 5 %) is 0.1 %."""
    monkeypatch.setattr(calibration, "NUM_RESAMPLES", 1_000)
    everyone = two_models(np.random.default_rng(1), 300_000, ours, theirs, 0.3)
    truth = ece(everyone[0]).value - ece(everyone[1]).value
    rng, too_low, too_high = np.random.default_rng(2), 0, 0
    for _ in range(100):
        lower, _, upper = bounds(two_models(rng, 1_000, ours, theirs, 0.3))
        too_low, too_high = too_low + (upper < truth - 0.001), too_high + (lower > truth + 0.001)
    assert too_low <= 12 and too_high <= 12


def test_the_plain_difference_hides_a_loss() -> None:
    """Why the bounds are as they are: 2.5 points of loss, of which 1,000 rows show a third on average."""
    rng = np.random.default_rng(3)
    seen = [bounds(two_models(rng, 1_000, 1.2, 1.0, 0.3))[1] for _ in range(50)]
    assert np.mean(seen) < 0.015


def test_many_rows_settle_it() -> None:
    rng = np.random.default_rng(4)
    lower, difference, upper = bounds(two_models(rng, 100_000, 1.5, 1.0, 0.3))
    assert 0.05 < lower < difference < upper < 0.07
    assert bounds(two_models(rng, 100_000, 1.0, 1.0, 0.3))[2] < 0.007


def test_the_mirror_image_has_mirrored_bounds() -> None:
    ours, theirs = two_models(np.random.default_rng(5), 2_000, 1.3, 0.9, 0.3)
    there, back = bounds((ours, theirs)), bounds((theirs, ours))
    assert there[0] == pytest.approx(-back[2], abs=0.001) and there[2] == pytest.approx(-back[0], abs=0.001)


def test_rows_that_come_again_in_a_group_are_no_evidence() -> None:
    once = two_models(np.random.default_rng(6), 400, 1.5, 1.0, 0.3)
    ours, theirs = (Probabilities(np.repeat(item.values, 8, axis=0), np.repeat(item.target, 8)) for item in once)
    alone, together = bounds((ours, theirs)), bounds((ours, theirs), np.repeat(np.arange(400), 8))
    assert together[2] - together[0] > 1.5 * (alone[2] - alone[0])
    assert together[2] - together[0] == pytest.approx(bounds(once)[2] - bounds(once)[0], rel=0.15)
    assert bounds((ours, theirs), np.zeros(3_200, np.int64)) == (-1.0, alone[1], 1.0)


def test_brier_by_group_is_of_students_t() -> None:
    ours, theirs = two_models(np.random.default_rng(8), 60, 1.5, 1.0, 0.3)
    groups = np.arange(60) // 10
    answers = {"candidate": ours.values.argmax(axis=1), "champion": theirs.values.argmax(axis=1)}
    holdout = Holdout(
        ("a", "b"), ours.target, answers, groups, probabilities={"candidate": ours, "champion": theirs}
    )  # fmt: skip
    seen = paired_difference(holdout, "brier")
    assert seen.difference == pytest.approx(brier(ours).value - brier(theirs).value)
    rows = brier(ours).influence - brier(theirs).influence
    squares = np.array([(np.bincount(groups, weights=rows) ** 2).sum(), (rows**2).sum()])
    assert squares[0] < squares[1]  # the groups happen to even out, which makes nothing surer than single rows do
    two_more = 2 * (rows**4).sum() / squares[1]
    se = np.sqrt((squares[1] + two_more) * 6 / 5) / 60  # six groups
    assert (seen.upper - seen.difference) / se == pytest.approx(2.015, rel=0.01)  # t at 95 % with 5 degrees of freedom
