from __future__ import annotations

from typing import Any

from ftcore.validation.report.leaks import gather_leaks
from ftcore.validation.splits import Findings


def row(row_id: str, text: str, label: str = "a", **more: Any) -> dict[str, Any]:
    return {"id": row_id, "text": text, "label": label, **more}


def found(*leaks: tuple[str, str | None, str | None, float]) -> Findings:
    pairs = tuple(
        {"rule": rule, "test_id": test, "train_id": train, "score": score} for rule, test, train, score in leaks
    )
    counts = {rule: len({leak[1] for leak in leaks if leak[0] == rule}) for rule in {leak[0] for leak in leaks}}
    return Findings((), pairs, counts, {}, (), frozenset(), {}, ())


def splits(train: list[dict[str, Any]], test: list[dict[str, Any]]) -> Any:
    return {"train": train, "validation": [], "test": test}


def test_a_pair_shows_what_only_one_side_says() -> None:
    rows = splits([row("t", "my card has not come")], [row("x", "my new card has come", "b")])
    facts = gather_leaks(rows, found(("near_duplicate", "x", "t", 0.8)), 0.66)
    (pair,) = facts.pairs["near_duplicate"]
    assert [(run.kind, run.words) for run in pair.runs] == [
        ("same", ("my",)), ("test", ("new",)), ("same", ("card", "has")), ("train", ("not",)), ("same", ("come",)),
    ]  # fmt: skip
    assert pair.labels == ("a", "b")
    assert (facts.num_leaked, facts.num_dropped, facts.num_conflicting) == (1, 1, 1)


def test_personal_data_are_blotted_out_before_the_words_are_aligned() -> None:
    rows = splits([row("t", "call 0171 555 1234 now")], [row("x", "call 0171 555 9999 now jo@example.org")])
    facts = gather_leaks(rows, found(("near_duplicate", "x", "t", 0.8)), 0.66)
    words = " ".join(word for run in facts.pairs["near_duplicate"][0].runs for word in run.words)
    assert words == "call [PHONE] now [EMAIL]"


def test_ten_pairs_spread_over_the_scores() -> None:
    train = [row(f"t{n}", f"text number {n}") for n in range(50)]
    test = [row(f"x{n}", f"text number {n}") for n in range(50)]
    leaks = [("near_duplicate", f"x{n}", f"t{n}", 0.5 + n / 100) for n in range(50)]
    pairs = gather_leaks(splits(train, test), found(*leaks), 0.66).pairs["near_duplicate"]
    assert len(pairs) == 10
    assert (pairs[0].score, pairs[-1].score) == (0.99, 0.5)


def test_group_and_time_show_their_columns_and_single_rows_themselves() -> None:
    rows = splits([row("t", "one", group="g", timestamp="2024")], [row("x", "two", group="g", timestamp="2023")])
    leaks = found(("group", "x", "t", 1.0), ("time", "x", "t", 1.0), ("reused", "x", None, 1.0))
    pairs = gather_leaks(rows, leaks, 0.66).pairs
    assert pairs["group"][0].runs[0].words == ("g",)
    assert [run.words for run in pairs["time"][0].runs] == [("2024",), ("2023",)]
    assert (pairs["reused"][0].train_id, pairs["reused"][0].runs[0].words) == (None, ("two",))


def test_long_texts_are_cut_and_endless_words_take_no_time() -> None:
    words = " ".join(f"w{n}" for n in range(3000))
    rows = splits([row("t", words), row("e", "a" * 300_000)], [row("x", words), row("y", "a" * 300_000)])
    leaks = found(("exact", "x", "t", 1.0), ("exact", "y", "e", 1.0))
    for pair in gather_leaks(rows, leaks, 0.66).pairs["exact"]:
        assert sum(len(word) for run in pair.runs for word in run.words) < 400


def test_a_row_deep_inside_a_document_is_shown_where_it_lies() -> None:
    sentence = "where is the parcel that I ordered last week"
    document = " ".join([*(f"w{n}" for n in range(3000)), sentence, *(f"v{n}" for n in range(9000))])
    rows = splits([row("t", document)], [row("x", sentence.upper() + "?")])
    (pair,) = gather_leaks(rows, found(("contained", "x", "t", 1.0)), 0.66).pairs["contained"]
    assert [run.kind for run in pair.runs] == ["train", "same", "train"]
    assert pair.runs[0].words == tuple(f"w{n}" for n in range(2990, 3000))
    assert pair.runs[1].words == tuple(f"{sentence.upper()}?".split())
    assert pair.runs[2].words[0] == "v0"
    assert "v8999" not in pair.runs[2].words  # beyond what is looked at


def test_the_curve_tells_copies_from_the_habit_of_the_corpus() -> None:
    def sentence(seed: int) -> str:
        return " ".join(f"w{seed * 31 % 97}x{n * seed}" for n in range(1, 21))

    test = [row(f"x{n}", sentence(n)) for n in range(1, 30)]
    facts = gather_leaks(splits([row(f"t{n}", sentence(n)) for n in range(1, 30)], test), found(), 0.66)
    assert facts.num_long == 29
    assert facts.with_train[-1] == (1.0, 1.0)
    assert facts.among_test[-1] == (1.0, 0.0)


def test_ids_that_no_row_has_are_left_out_of_the_pair() -> None:
    facts = gather_leaks(splits([row("t", "a")], [row("x", "a")]), found(("exact", "gone", "t", 1.0)), 0.66)
    assert facts.pairs["exact"][0].test_id is None
