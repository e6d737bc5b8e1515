from __future__ import annotations

from ftcore.data.leakage.words import UNKNOWN, Vocabulary, split_words


def test_words_are_numbered_and_unknown_ones_match_nothing() -> None:
    vocabulary = Vocabulary([["a", "b"], ["b", "c"]])
    rows = vocabulary.encode([["a", "x", "c"], [], ["b"]])
    assert list(rows.lengths) == [3, 0, 1]
    assert rows.as_text(0)[1] == UNKNOWN
    assert rows.as_text(0)[2] == vocabulary.encode([["c"]]).as_text(0)
    assert rows.as_text(1) == ""


def test_runs_stay_in_their_row_and_hold_known_words_only() -> None:
    vocabulary = Vocabulary([list("abcdef")])
    numbers, codes = vocabulary.encode([list("abcd"), list("ab"), list("axbcd"), list("bcd")]).grams(3)
    assert list(numbers) == [0, 0, 2, 3]
    assert codes[1] == codes[2] == codes[3] != codes[0]


def test_order_matters_to_a_run() -> None:
    vocabulary = Vocabulary([list("abc")])
    _, codes = vocabulary.encode([list("abc"), list("cba"), list("bac")]).grams(3)
    assert len(set(codes.tolist())) == 3


def test_scripts_without_spaces_are_split_by_character() -> None:
    assert split_words("my 银行卡 card") == ["my", "银", "行", "卡", "card"]
