from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.data.augmenting import augment_train, read_synonyms
from ftcore.errors import UsageError
from ftcore.spec import AugmentSpec, LeakageSpec

ALL = AugmentSpec(
    methods=["typo", "dropout", "swap", "synonym", "paraphrase"], fraction=1.0, synonyms="s.csv", strength=0.2
)
SYNONYMS = {"card": ["bank card"], "lost": ["mislaid"]}
RULES = LeakageSpec(rules=["exact", "normalised"])


def rows(count: int) -> list[dict[str, Any]]:
    return [
        {"id": f"r{n}", "text": f"I have Lost my card number {n} on the way home", "label": "lost", "group": f"c{n}"}
        for n in range(count)
    ]


def test_rows_are_marked_and_each_method_does_its_work() -> None:
    train = rows(1)
    made = augment_train(train, [], ALL, RULES, SYNONYMS)
    assert made.num_made == {"dropout": 1, "paraphrase": 1, "swap": 1, "synonym": 1, "typo": 1}
    by_method = {row["augmented"]: row for row in made.rows}
    assert set(by_method) == {f"{method}:r0" for method in ALL.methods}
    assert all(row["label"] == "lost" and row["group"] == "c0" and row["id"].startswith("r0~") for row in made.rows)
    original = train[0]["text"].split()
    assert len(by_method["dropout:r0"]["text"].split()) == len(original) - 2
    assert sorted(by_method["swap:r0"]["text"].split()) == sorted(original)
    assert "Mislaid" in by_method["synonym:r0"]["text"] and "bank card" in by_method["synonym:r0"]["text"]
    assert train[0]["text"] in by_method["paraphrase:r0"]["text"]
    assert train == rows(1)


@given(st.permutations(range(12)), st.integers(0, 3))
def test_order_and_added_rows_change_nothing(order: list[int], seed: int) -> None:
    settings = ALL.model_copy(update={"fraction": 0.5, "seed": seed})
    train = rows(12)
    there = {row["id"]: row["text"] for row in augment_train(train, [], settings, RULES, SYNONYMS).rows}
    back = augment_train([train[number] for number in order] + rows(15)[12:], [], settings, RULES, SYNONYMS)
    found = {row["id"]: row["text"] for row in back.rows}
    assert {row_id: found[row_id] for row_id in there} == there


def test_another_seed_makes_other_rows() -> None:
    one, two = (augment_train(rows(20), [], ALL.model_copy(update={"seed": seed}), RULES, SYNONYMS) for seed in (1, 2))
    assert [row["text"] for row in one.rows] != [row["text"] for row in two.rows]


def test_what_comes_too_near_a_held_out_row_is_dropped_and_counted() -> None:
    train = rows(3)
    settings = AugmentSpec(methods=["paraphrase"], fraction=1.0, templates=["Hello, {text}"])
    held_out = [{"id": "x", "text": f"hello {train[1]['text'].upper()}!", "label": "lost"}]
    made = augment_train(train, held_out, settings, RULES)
    assert [row["augmented"] for row in made.rows] == ["paraphrase:r0", "paraphrase:r2"]
    assert made.num_dropped == {"leaked": 1}


def test_repeats_and_unchanged_rows_are_dropped() -> None:
    train = [{"id": "a", "text": "hi", "label": "l"}, {"id": "b", "text": "Hi, thanks", "label": "m"}]
    settings = AugmentSpec(methods=["swap", "paraphrase"], fraction=1.0, templates=["{text} thanks"])
    made = augment_train(train, [], settings, RULES)
    assert made.num_dropped == {"repeated": 1, "unchanged": 2}  # "hi thanks" has another label in train


def test_nothing_happens_unless_asked() -> None:
    made = augment_train(rows(5), [], AugmentSpec(), RULES)
    assert (made.rows, made.num_dropped) == ([], {})


def test_only_the_question_of_a_conversation_changes() -> None:
    turns = [
        {"role": "system", "content": "You help people with their cards."},
        {"role": "user", "content": "I have lost my card somewhere"},
        {"role": "assistant", "content": "I have blocked the lost card."},
    ]
    row = {
        "id": "g",
        "messages": turns,
        "text": f"{turns[0]['content']}\n{turns[1]['content']}",
        "completion": turns[2]["content"],
    }
    (new,) = augment_train([row], [], AugmentSpec(methods=["typo"], fraction=1.0), RULES).rows
    assert [turn["content"] for turn in new["messages"]][::2] == [turns[0]["content"], turns[2]["content"]]
    assert new["messages"][1]["content"] != turns[1]["content"]
    assert new["text"] == f"{turns[0]['content']}\n{new['messages'][1]['content']}"
    assert new["completion"] == turns[2]["content"]


def test_synonyms_are_read_and_faults_named(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("word,synonym\nCard,bank card\ncard,plastic\n")
    assert read_synonyms(path) == {"card": ["bank card", "plastic"]}
    path.write_text("word,synonym\ntwo words,x\ncard,\n")
    with pytest.raises(UsageError) as error:
        read_synonyms(path)
    assert set(error.value.details) == {"line 2: more than one word", "line 3: a field is empty"}
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match="lacks the columns"):
        read_synonyms(path)
    with pytest.raises(UsageError, match="FileNotFoundError"):
        read_synonyms(tmp_path / "none.csv")


def test_the_spec_refuses_what_cannot_work() -> None:
    with pytest.raises(ValueError, match="needs `synonyms`"):
        AugmentSpec(methods=["synonym"])
    with pytest.raises(ValueError, match="exactly once"):
        AugmentSpec(templates=["no place for it"])


def test_what_is_too_near_is_what_the_spec_says() -> None:
    train = [{"id": "a", "text": "one two three four five six seven eight nine ten " * 2, "label": "l"}]
    held_out = [{"id": "x", "text": "ONE two three four five " + "six seven eight nine ten " * 3, "label": "l"}]
    settings = AugmentSpec(methods=["paraphrase"], fraction=1.0, templates=["so {text}"])
    strict, loose = (
        augment_train(train, held_out, settings, LeakageSpec(rules=["near_duplicate"], similarity=similarity))
        for similarity in (1.0, 0.6)
    )
    assert (strict.num_dropped, loose.num_dropped) == ({}, {"leaked": 1})
