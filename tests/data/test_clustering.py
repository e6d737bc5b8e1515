from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from ftcore.data.clustering import clusters_of, near_duplicate_pairs


@given(
    st.integers(1, 20).flatmap(
        lambda n: st.tuples(st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1))))
    )
)
def test_linked_rows_share_a_cluster_named_after_its_first_row(case: tuple[int, list[tuple[int, int]]]) -> None:
    count, pairs = case
    clusters = clusters_of(count, pairs)
    assert all(clusters[left] == clusters[right] for left, right in pairs)
    assert all(clusters[cluster] == cluster <= row for row, cluster in enumerate(clusters))
    assert len(set(clusters)) >= count - len(pairs)  # nothing is joined without a link


WORDS = [f"w{n}" for n in range(400)]


def test_edited_copies_are_found_and_others_are_not() -> None:
    chance = random.Random(5)
    originals = [" ".join(chance.choices(WORDS, k=20)) for _ in range(200)]
    copies = []
    for text in originals[:100]:
        words = text.split()
        for place in chance.sample(range(20), 2):
            words[place] = chance.choice(WORDS)
        copies.append(" ".join(words))
    pairs = {tuple(sorted(pair)) for pair in near_duplicate_pairs(originals + copies)}
    assert pairs == {(number, 200 + number) for number in range(100)}


def test_short_rows_must_be_the_same() -> None:
    texts = ["Why was my payment reverted?", "why was my payment REVERTED", "Why was my payment reversed?"]
    texts += ["why was my payment not reversed yet", "why was my payment not reversed yet please"]
    assert {tuple(sorted(pair)) for pair in near_duplicate_pairs(texts)} == {(0, 1)}


@given(st.permutations(range(8)))
def test_order_does_not_matter(order: list[int]) -> None:
    chance = random.Random(1)
    base = [" ".join(chance.choices(WORDS, k=16)) for _ in range(4)]
    texts = [*base, *(f"{text} please" for text in base)]
    pairs = {frozenset(texts[number] for number in pair) for pair in near_duplicate_pairs(texts)}
    shuffled = [texts[number] for number in order]
    assert {frozenset(shuffled[number] for number in pair) for pair in near_duplicate_pairs(shuffled)} == pairs
    assert len(pairs) == 4
