from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.data.leakage import Leak, find_leaks
from ftcore.data.leakage.near import NearIndex

NEAR = ["near_duplicate", "contained", "ngram13"]
WORDS = [f"word{number}" for number in range(400)]


def rows(*texts: str) -> list[dict]:
    return [{"text": text} for text in texts]


def sentence(seed: int, size: int) -> list[str]:
    return random.Random(seed).sample(WORDS, size)


def found(train: list[str], test: list[str]) -> set[tuple[str, int | None, int | None]]:
    return {(leak.rule, leak.test_row, leak.train_row) for leak in find_leaks(rows(*train), rows(*test), NEAR)}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (
            "why has my card payment been reverted",
            "why has my card payment been reversed",
        ),  # a word is another question
        ("what is the best way to exchange currency", "what is the best way to get my virtual card"),
        ("how do i get a card", "how do i get a card in china"),
        ("i need a refund", "hello there i need a refund for the shoes"),
    ],
)
def test_short_rows_with_another_word_are_other_questions(train: str, test: str) -> None:
    assert found([train], [test]) == set()


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("my card is broken", "is my card broken"),
        ("why did my topup fail", "why did my top up fail"),
        ("is it possible to get a card if im not in the uk", "is it possible to get a card when im not in the uk"),
    ],
)
def test_short_rows_that_are_nearly_identical_are_found(train: str, test: str) -> None:
    assert found([train], [test]) == {("near_duplicate", 0, 0)}


def test_long_rows_are_found_until_a_third_is_edited() -> None:
    original = sentence(1, 18)
    six, seven = list(original), list(original)
    six[::3] = [f"new{number}" for number in range(6)]
    seven[:7] = [f"new{number}" for number in range(7)]
    train = [" ".join(sentence(seed, 18)) for seed in range(2, 30)]
    texts = [" ".join(original), " ".join(sentence(99, 18))]
    five = [*original[:3], "a", *original[4:8], "b", *original[9:12], "c", *original[13:]]
    assert ("near_duplicate", 0, 28) in found([*train, " ".join(five)], texts)
    assert found([*train, " ".join(seven)], texts) == set()


def test_five_words_in_fifteen_may_be_edited() -> None:
    edited = sentence(1, 15)
    edited[5:10] = [f"new{number}" for number in range(5)]
    assert found([" ".join(edited)], [" ".join(sentence(1, 15))]) == {("near_duplicate", 0, 0)}


def test_a_window_that_only_resembles_the_row_is_no_copy() -> None:
    row = sentence(1, 20)
    alike = list(row)
    alike[::3] = [f"new{number}" for number in range(7)]
    one_off = [*row[:9], "new", *row[10:]]
    around = (sentence(2, 60), sentence(3, 60))
    assert found([" ".join([*around[0], *alike, *around[1]])], [" ".join(row)]) == set()
    assert found([" ".join([*around[0], *one_off, *around[1]])], [" ".join(row)]) == {("contained", 0, 0)}


def test_a_stock_sentence_in_short_rows_is_no_shared_passage() -> None:
    passage = sentence(1, 13)
    train, test = [" ".join([*sentence(2, 25), *passage])], [" ".join([*passage, *sentence(3, 25)])]
    assert found(train, test) == set()


def test_a_row_inside_a_document_is_found_from_either_side() -> None:
    row = " ".join(sentence(1, 14))
    document = " ".join([*sentence(2, 60), row, *sentence(3, 60)])
    assert found([document], [row]) == {("contained", 0, 0)}
    assert found([row], [document]) == {("contained", 0, 0)}


def test_a_short_sentence_in_many_documents_is_a_figure_of_speech() -> None:
    sentence_text = "thank you very much"
    documents = [" ".join([*sentence(seed, 30), sentence_text, *sentence(seed + 100, 30)]) for seed in range(11)]
    assert found(documents[:2], [sentence_text]) == {("contained", 0, 0), ("contained", 0, 1)}
    assert found(documents, [sentence_text]) == set()


def test_long_rows_with_a_common_passage_are_found_and_disclaimers_are_not() -> None:
    passage = sentence(1, 13)
    train = [" ".join([*sentence(seed, 60), *passage]) for seed in range(50, 53)]
    test = [" ".join([*passage, *sentence(7, 70)]), " ".join(sentence(8, 70))]
    assert found(train[:1], test) == {("ngram13", 0, 0)}
    also = " ".join([*sentence(9, 70), *passage])
    assert found(train[:1], [*test, also]) == {("ngram13", 0, 0), ("ngram13", 2, 0)}
    many = [" ".join([*sentence(seed, 60), *passage]) for seed in range(100, 140)]
    assert found(many, test) == set()


def test_a_prompt_template_does_not_make_rows_alike() -> None:
    template = "you are a helpful assistant of the bank classify the following message of a customer into one intent"
    train = [f"{template} {' '.join(sentence(seed, 6))}" for seed in range(100)]
    test = [f"{template} {' '.join(sentence(seed, 6))}" for seed in range(200, 300)]
    assert found(train, test) == set()


def test_scripts_without_spaces_are_compared_by_character() -> None:
    original = "我想知道为什么我的银行卡付款在昨天晚上被拒绝了请帮忙"
    edited = original.replace("昨天", "今天")
    assert found([edited], [original]) == {("near_duplicate", 0, 0)}


def test_every_copy_in_train_and_every_twin_in_test_is_told() -> None:
    one, other = sentence(1, 20), sentence(1, 20)
    other[4] = "changed"
    train, test = [" ".join(other)] * 3, [" ".join(one)] * 2
    hits = found(train, test)
    assert {test_row for _, test_row, _ in hits} == {0, 1}
    assert {train_row for _, _, train_row in hits} == {0, 1, 2}


def test_train_may_be_a_stream_longer_than_a_chunk() -> None:
    copy = sentence(1, 20)
    copy[5] = "changed"
    stream = ({"text": " ".join(copy) if number == 45_000 else f"filler {number}"} for number in range(45_001))
    (leak,) = find_leaks(stream, rows(" ".join(sentence(1, 20))), ["exact", *NEAR])
    assert leak == Leak("near_duplicate", 0, 45_000, 0.95)


@given(st.lists(st.sampled_from(["a b c d", "d c b a", "a b", "", "x", "a b c d e f g h i j k l m n o p"]), max_size=8))
def test_nothing_is_compared_with_itself_and_empty_texts_match_nothing(texts: list[str]) -> None:
    for leak in find_leaks(rows(*texts), rows(*texts), NEAR):
        assert leak.test_row is not None
        assert leak.train_row is not None
        assert texts[leak.test_row] != texts[leak.train_row]
        assert texts[leak.test_row]


def test_an_empty_side_is_no_fault() -> None:
    assert list(NearIndex([]).search(["a b c d"])) == []
    assert list(NearIndex(["a b c d"]).search([])) == []


def test_copies_of_one_document_do_not_make_its_sentences_common() -> None:
    sentence = "the courier left my parcel with nobody home"
    document = f"{' '.join(f'word{n}' for n in range(30))} {sentence} {' '.join(f'other{n}' for n in range(30))}"
    test = [{"text": sentence}]
    copies = find_leaks([{"text": document}] * 30, test, ["contained"])
    assert len({leak.train_row for leak in copies}) == 30
    different = [{"text": document.replace("word0 ", f"begin{n} ")} for n in range(30)]
    assert find_leaks(different, test, ["contained"]) == []
