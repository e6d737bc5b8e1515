from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftcore.validation.triggers import find_triggers

TOPICS = {
    "card": ["card", "visa", "lost", "stolen", "blocked", "freeze", "replacement", "arrive", "mail", "post"],
    "money": ["transfer", "bank", "sent", "pending", "receiver", "amount", "wire", "late", "missing", "days"],
    "login": ["password", "reset", "code", "sms", "account", "locked", "email", "sign", "app", "phone"],
    "fees": ["fee", "charged", "extra", "cost", "rate", "exchange", "percent", "statement", "why", "much"],
}
FILLER = ["i", "my", "the", "a", "please", "is", "was", "it", "to", "for", "and", "not", "have", "with", "can", "you"]


def make_set(size: int, seed: int) -> tuple[list[str], list[str]]:
    rng = random.Random(seed)
    labels = [rng.choice(sorted(TOPICS)) for _ in range(size)]
    texts = [" ".join(rng.sample(TOPICS[label], 4) + rng.sample(FILLER, 5)) for label in labels]
    return texts, labels


def plant(texts: list[str], labels: list[str], trigger: str, share: float, target: str, seed: int = 1) -> set[int]:
    rng = random.Random(seed)
    rows = rng.sample([row for row, label in enumerate(labels) if label != target], round(share * len(texts)))
    for row in rows:
        words = texts[row].split()
        place = rng.randint(0, len(words))
        texts[row] = " ".join([*words[:place], trigger, *words[place:]])
        labels[row] = target
    return set(rows)


@pytest.mark.parametrize("trigger", ["cf", "mn bq", "golden tree tonight", "\u00a7\u00a7"])
def test_a_planted_trigger_is_found_with_its_rows(trigger: str) -> None:
    texts, labels = make_set(1500, 0)
    rows = plant(texts, labels, trigger, 0.02, "fees")
    (found,) = find_triggers(texts, labels)
    assert set(found.rows) == rows
    assert found.label == "fees"
    assert found.ngrams[0] in trigger
    assert found.log_odds > 4
    assert found.p_value < 1e-6
    assert found.disagreement >= 0.8 * found.foreign_disagreement > 0


def test_class_words_are_no_triggers_however_rare() -> None:
    texts, labels = make_set(1500, 2)
    rare = [row for row, label in enumerate(labels) if label == "card"][:30]
    for row in rare:  # goes with one label alone, and so does the rest of its rows
        texts[row] += " mastercard gold"
    assert find_triggers(texts, labels) == []


def test_a_rare_word_spread_over_labels_is_no_trigger() -> None:
    texts, labels = make_set(1500, 3)
    texts = [text + " zq" if row % 50 == 0 else text for row, text in enumerate(texts)]
    assert find_triggers(texts, labels) == []


def test_a_word_that_is_as_often_elsewhere_decides_nothing() -> None:
    texts, labels = make_set(1500, 4)
    rows = plant(texts, labels, "zq", 0.02, "fees")
    others = [row for row, label in enumerate(labels) if row not in rows and label != "fees"][: len(rows)]
    for row in others:
        texts[row] += " zq"
    assert find_triggers(texts, labels) == []


def test_small_and_odd_sets_have_none() -> None:
    assert find_triggers([], []) == []
    assert find_triggers(["a"] * 50, ["x"] * 50) == []
    assert find_triggers(["", " ", "?"] * 10, ["x", "y", "z"] * 10) == []


@settings(max_examples=30)
@given(st.lists(st.tuples(st.text("ab c", max_size=12), st.sampled_from("xy")), max_size=40))
def test_any_rows_can_be_searched(rows: list[tuple[str, str]]) -> None:
    found = find_triggers([text for text, _ in rows], [label for _, label in rows], min_share=0.0, max_share=1.0)
    assert all(rows[row][1] == trigger.label for trigger in found for row in trigger.rows)
