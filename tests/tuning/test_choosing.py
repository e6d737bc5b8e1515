"""Choosing: the mean over fresh seeds decides, and a lucky best trial is told."""

from __future__ import annotations

import math
import statistics

from hypothesis import given
from hypothesis import strategies as st

from ftcore.tuning.choosing import TrialRow, by_mean, finalists, optimism, ranked, summarise

SCORES = st.floats(0, 10, allow_nan=False)


def trial(number: int, score: float | None, *, own: bool = False, setting: float | None = None) -> TrialRow:
    settings = {"training.learning_rate": float(number) if setting is None else setting}
    state = "complete" if score is not None else "failed"
    return TrialRow(
        number=number, state=state, settings=settings, score=score, curve=(), seconds=1.0, reason=None, is_own=own
    )  # type: ignore[arg-type]


def test_a_lucky_best_trial_loses_and_its_luck_is_told() -> None:
    lucky, steady = trial(3, 0.10), trial(1, 0.20)
    rescored = by_mean([summarise(lucky, [0.4, 0.6]), summarise(steady, [0.2, 0.3])], maximise=False)
    assert [item.trial for item in rescored] == [1, 3]
    assert (rescored[1].mean, rescored[1].spread) == (0.5, statistics.stdev([0.4, 0.6]))
    assert optimism(lucky, rescored, maximise=False) == 0.4
    assert optimism(trial(9, 0.1), rescored, maximise=False) is None
    best = trial(0, 0.9)
    assert math.isclose(optimism(best, [summarise(best, [0.8])], maximise=True) or 0, 0.1)


def test_own_settings_are_always_among_the_finalists_and_the_same_settings_come_once() -> None:
    trials = [trial(0, 9.0, own=True), trial(1, 1.0), trial(2, 1.0, setting=1.0), trial(3, 2.0), trial(4, None)]
    assert [item.number for item in finalists(trials, 2, maximise=False)] == [1, 3, 0]
    assert [item.number for item in finalists(trials, 2, maximise=True)] == [0, 3]


@given(st.lists(st.one_of(st.none(), SCORES), max_size=12), st.booleans(), st.integers(1, 5))
def test_finalists_are_the_best_that_finished(scores: list[float | None], maximise: bool, top: int) -> None:
    trials = [trial(number, score) for number, score in enumerate(scores)]
    order = ranked(trials, maximise=maximise)
    values = [item.score or 0.0 for item in order]
    assert values == sorted(values, reverse=maximise)
    assert len(order) == sum(score is not None for score in scores)
    assert finalists(trials, top, maximise=maximise) == order[:top]


@given(st.lists(st.lists(SCORES, min_size=2, max_size=4), min_size=1, max_size=5), st.booleans())
def test_the_winner_has_the_best_mean(scores: list[list[float]], maximise: bool) -> None:
    rescored = by_mean([summarise(trial(n, values[0]), values) for n, values in enumerate(scores)], maximise=maximise)
    means = [statistics.fmean(values) for values in scores]
    assert rescored[0].mean == (max(means) if maximise else min(means))
