from __future__ import annotations

import random

from ftcore.data.leakage.background import MAX_SIMILARITY, advised_similarity, nearest_similarity, similarity_hint
from ftcore.data.leakage.near import SIMILARITY

WORDS = [f"word{number}" for number in range(2000)]


def free_text(num: int) -> list[str]:
    rng = random.Random(1)
    return [" ".join(rng.sample(WORDS, 20)) for _ in range(num)]


def forms(num: int, filled: int) -> list[str]:
    """Rows of one form each in ten: the same 20 words but for `filled` of them."""
    rng = random.Random(2)
    bases = free_text(max(1, num // 5))
    rows = []
    for number in range(num):
        words = bases[number % len(bases)].split()
        for at in rng.sample(range(20), filled):
            words[at] = rng.choice(WORDS)
        rows.append(" ".join(words))
    return rows


def as_rows(texts: list[str]) -> list[dict]:
    return [{"text": text} for text in texts]


def test_free_text_needs_no_advice() -> None:
    assert nearest_similarity(free_text(200)).share(0.3) == 0.0
    assert advised_similarity(as_rows(free_text(200))) is None


def test_forms_do_up_to_a_limit() -> None:
    advised = advised_similarity(as_rows(forms(200, 2)))
    assert advised is not None
    assert SIMILARITY < advised <= MAX_SIMILARITY
    assert advised_similarity(as_rows(forms(20, 2))) is None  # too few rows to say


def test_the_hint_names_a_better_similarity_than_the_one_in_use() -> None:
    rows = as_rows(forms(200, 2))
    advised = advised_similarity(rows)
    assert f"`--similarity {advised}`" in str(similarity_hint(rows, SIMILARITY))
    assert similarity_hint(rows, float(advised or 0)) is None
    assert similarity_hint(as_rows(free_text(200)), SIMILARITY) is None


def test_the_curve_falls() -> None:
    curve = nearest_similarity(forms(200, 3)).curve()
    assert list(curve.values()) == sorted(curve.values(), reverse=True)
    assert curve[0.5] > 0.9


def test_against_other_rows() -> None:
    rows = free_text(100)
    assert nearest_similarity(rows[:50], rows[25:]).share(1.0) == 0.5
