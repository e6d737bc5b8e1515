from __future__ import annotations

import numpy as np
import pytest

from ftcore.evaluation.analysis.conditions import Condition, features_of, rows_meeting
from ftcore.evaluation.analysis.slice_search import MAX_CANDIDATES, _Searched, candidates, correlation_in_groups
from ftcore.evaluation.rows import Column

RNG = np.random.default_rng(0)
SOURCE = Column(("web", "app", "mail", "shop"), RNG.integers(0, 4, 4_000))
WORDS = RNG.integers(1, 60, 4_000).astype(float)
MADE = features_of({"source": SOURCE}, {"words": WORDS.tolist()}, 50)
EVERY = np.ones(4_000, dtype=bool)


def test_conditions_that_do_not_matter_are_left_out() -> None:
    loss = (SOURCE.codes == 2).astype(float)
    mail, no_web = Condition("source", "is", "mail"), Condition("source", "is not", "web")
    long = MADE[-1].condition(2.5, True)
    assert _Searched(MADE, loss, EVERY, None, 0.0, True).simplified((no_web, long, mail)) == (mail,)
    assert candidates(MADE, loss, EVERY, min_rows=50)[0] == (Condition("source", "is", "mail"),)


def test_a_slice_of_two_conditions_keeps_both() -> None:
    bad = (SOURCE.codes == 1) & (np.quantile(WORDS, 0.75, method="lower") <= WORDS)
    found = candidates(MADE, (bad | (RNG.random(4_000) < 0.05)).astype(float), EVERY, min_rows=50)[0]
    assert {(item.column, item.kind) for item in found} == {("source", "is"), ("words", "at least")}
    inside = rows_meeting(found, MADE, 4_000)
    assert (inside & bad).sum() >= 0.9 * max(inside.sum(), bad.sum())


def test_only_the_searched_half_is_looked_at() -> None:
    search = np.arange(4_000) < 2_000
    loss = ((SOURCE.codes == 2) & ~search).astype(float)
    assert candidates(MADE, loss, search, min_rows=50) == []
    noise = np.random.default_rng(1).random(4_000)
    assert len(candidates(MADE, noise, search, min_rows=20)) <= MAX_CANDIDATES


def test_a_condition_is_kept_only_if_it_is_worth_its_price() -> None:
    """Among the rows of mail the short ones are a little less bad: the long ones stand out by less than a price more."""
    mail, long = Condition("source", "is", "mail"), MADE[-1].condition(0.5, True)
    is_mail, is_long = (rows_meeting([condition], MADE, 4_000) for condition in (mail, long))
    loss = np.where(is_mail, np.where(is_long, 0.1, 0.082), 0.0) + np.tile([-0.3, 0.3], 2_000)
    searched = _Searched(MADE, loss, EVERY, None, 0.0, True)
    assert searched.z((mail, long)) > searched.z((mail,)) > 5
    assert searched.simplified((mail, long)) == (mail,)
    searched.price = 0.0
    assert searched.simplified((mail, long)) == (mail, long)


def test_luck_of_long_conditions_does_not_crowd_out_a_slice() -> None:
    """A value with 15 points more errors, 79 that do not matter: a candidate in all of 20 draws, in 16 without a price."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        columns = {name: Column(tuple(map(str, range(20))), rng.integers(0, 20, 2_000)) for name in "abcd"}
        loss = (rng.random(2_000) < 0.2 + 0.15 * (columns["a"].codes == 3)).astype(float)
        every, features = np.ones(2_000, dtype=bool), features_of(columns, {}, 50)
        found = candidates(features, loss, every, min_rows=50, max_share=0.5, floor=0.02)
        assert (Condition("a", "is", "3"),) in found, seed


def test_a_slice_too_large_or_not_worse_than_the_floor_takes_no_place() -> None:
    loss = np.where(SOURCE.codes == 2, 0.3, 0.2) + RNG.normal(0, 0.01, 4_000)
    assert (Condition("source", "is not", "web"),) in candidates(MADE, loss, EVERY, min_rows=50)
    small = candidates(MADE, loss, EVERY, min_rows=50, max_share=0.5)
    assert all(rows_meeting(conditions, MADE, 4_000).mean() <= 0.5 for conditions in small)
    assert candidates(MADE, loss, EVERY, min_rows=50, floor=0.15) == []


def test_rows_of_a_group_count_as_fewer() -> None:
    groups = np.repeat(np.arange(800), 5)
    common = np.repeat(np.random.default_rng(5).random(800) < 0.3, 5).astype(float)
    assert correlation_in_groups(common, groups) == 1.0
    assert correlation_in_groups(np.tile([0.0, 1.0], 2_000), np.repeat(np.arange(2_000), 2)) == 0.0
    assert correlation_in_groups(common, np.arange(4_000)) == 0.0
    mail = (Condition("source", "is", "mail"),)
    by_group = Column(SOURCE.values, np.repeat(SOURCE.codes[:800], 5))
    features = features_of({"source": by_group}, {}, 50)
    alone, grouped = (_Searched(features, common, EVERY, owner, 0.0, True).z(mail) for owner in (None, groups))
    assert alone / grouped == pytest.approx(5**0.5)
