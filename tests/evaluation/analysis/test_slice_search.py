from __future__ import annotations

import numpy as np

from ftcore.evaluation.analysis.conditions import Condition, features_of, rows_meeting
from ftcore.evaluation.analysis.slice_search import MAX_CANDIDATES, _Masks, _simplified, candidates
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
    assert _simplified((no_web, long, mail), loss, _Masks(MADE, EVERY), True) == (mail,)
    assert candidates(MADE, loss, EVERY, 50, True)[0] == (Condition("source", "is", "mail"),)


def test_a_slice_of_two_conditions_keeps_both() -> None:
    bad = (SOURCE.codes == 1) & (np.quantile(WORDS, 0.75, method="lower") <= WORDS)
    found = candidates(MADE, (bad | (RNG.random(4_000) < 0.05)).astype(float), EVERY, 50, True)[0]
    assert {(item.column, item.kind) for item in found} == {("source", "is"), ("words", "at least")}
    inside = rows_meeting(found, MADE, 4_000)
    assert (inside & bad).sum() >= 0.9 * max(inside.sum(), bad.sum())


def test_only_the_searched_half_is_looked_at() -> None:
    search = np.arange(4_000) < 2_000
    loss = ((SOURCE.codes == 2) & ~search).astype(float)
    assert candidates(MADE, loss, search, 50, True) == []
    noise = np.random.default_rng(1).random(4_000)
    assert len(candidates(MADE, noise, search, 20, True)) <= MAX_CANDIDATES
