from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ftcore.validation.custom.labels import ExpectColumnLabelsToMatchTrain
from ftcore.validation.expectations import to_frame
from ftcore.validation.judging import judge
from ftcore.validation.suites import Entry, load_suite, starter
from ftcore.validation.surroundings import Surroundings

FRAME = to_frame([{"id": f"r{n}", "text": "x", "label": label} for n, label in enumerate("aab")])
ENTRY = Entry("expect_column_labels_to_match_train", {"column": "label"}, {})


def said(**labels: int) -> str | None:
    observed = ExpectColumnLabelsToMatchTrain(column="label").look(FRAME, Surroundings(labels={"train": labels}))
    answer: dict[str, Any] = observed.to_gx()
    return judge(ENTRY, SimpleNamespace(**answer, exception_info={}), FRAME)


def test_a_fault_of_no_single_row_names_no_rows() -> None:
    assert said(a=3, b=2, c=1) == f"{ENTRY}: saw 1 of train's 3 labels missing: 'c'"


def test_what_was_seen_comes_before_the_rows_at_fault() -> None:
    assert said(a=3) == f"{ENTRY}: saw 1 label that train lacks: 'b' (1 of 3 rows); id r2"
    both = said(a=3, c=1)
    assert (
        both == f"{ENTRY}: saw 1 label that train lacks: 'b'; 1 of train's 2 labels missing: 'c' (1 of 3 rows); id r2"
    )
    assert said(a=1, b=1) is None


def test_words_stand_for_a_pattern_that_nobody_reads() -> None:
    frame = to_frame([{"id": f"a.csv:{n}", "text": "x", "label": "y", "timestamp": "Jan 31"} for n in range(5)])
    column = {"column": "timestamp"}
    answer = {"success": False, "exception_info": {}}
    answer["result"] = {"element_count": 5, "unexpected_count": 5, "unexpected_index_list": [0, 1, 2, 3, 4]}
    for suite in ("classification", "instruction", "seq2seq"):
        entries = load_suite(starter(suite)).entries
        entry = next(item for item in entries if "regex" in item.type and item.column == "timestamp")
        told = judge(entry, SimpleNamespace(**answer), frame)
        assert told == (
            f"{entry}: wanted ISO 8601, for example 2026-01-31T09:30:00Z; saw 5 of 5 rows (100.00%) at fault; rows 0, 1, 2 "
            "and 2 more of a.csv"
        )
    own = Entry("expect_column_values_to_match_regex", {**column, "regex": "^x", "mostly": 0.9}, {"wanted": "an x"})
    assert "wanted an x, mostly=0.9; saw" in str(judge(own, SimpleNamespace(**answer), frame))
    bare = Entry("expect_column_values_to_match_regex", {**column, "regex": "^x"}, {})
    assert "wanted regex='^x'; saw" in str(judge(bare, SimpleNamespace(**answer), frame))
