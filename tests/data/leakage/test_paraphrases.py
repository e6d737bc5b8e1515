from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ftcore.data.leakage import Leak, find_leaks, leaks_between
from ftcore.spec import LeakageSpec

VECTORS = {"buy": [1.0, 0.0], "purchase": [0.99, 0.1], "sell": [0.0, 3.0], "": [0.0, 0.0]}


def embed(texts: Sequence[str]) -> np.ndarray:
    return np.array([VECTORS[text] for text in texts])


def rows(*texts: str) -> list[dict]:
    return [{"text": text} for text in texts]


def test_other_words_for_the_same() -> None:
    found = find_leaks(rows("purchase", "", "sell"), rows("buy", ""), ["paraphrase"], embed=embed, cosine=0.9)
    assert found == [Leak("paraphrase", 0, 0, 0.9949)]


def test_many_pairs_are_told_once_per_row() -> None:
    found = find_leaks(rows(*["purchase"] * 50), rows(*["buy"] * 40), ["paraphrase"], embed=embed, cosine=0.9)
    assert {leak.test_row for leak in found} == set(range(40))
    assert {leak.train_row for leak in found} == set(range(50))
    assert len(found) < 90


def test_what_the_words_tell_already_is_not_told_again() -> None:
    found = find_leaks(rows("buy", "purchase"), rows("buy"), ["exact", "paraphrase"], embed=embed, cosine=0.9)
    assert [(leak.rule, leak.train_row) for leak in found] == [("exact", 0), ("paraphrase", 1)]


def test_without_an_embedder_it_does_nothing() -> None:
    assert find_leaks(rows("purchase"), rows("buy"), ["paraphrase"]) == []


def test_the_settings_of_a_spec() -> None:
    spec = LeakageSpec(rules=["exact"], cosine=0.999)
    assert leaks_between(rows("purchase"), rows("buy"), spec, embed) == []
    assert leaks_between(rows("purchase"), rows("buy"), spec.model_copy(update={"cosine": 0.9})) == []
    assert len(leaks_between(rows("purchase"), rows("buy"), spec.model_copy(update={"cosine": 0.9}), embed)) == 1
