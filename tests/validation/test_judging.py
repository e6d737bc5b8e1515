from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ftcore.validation.custom.labels import ExpectColumnLabelsToMatchTrain
from ftcore.validation.expectations import to_frame
from ftcore.validation.judging import judge
from ftcore.validation.suites import Entry
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
    assert said(a=3) == f"{ENTRY}: saw 1 labels that train lacks: 'b' (1 of 3 rows); ids r2"
    both = said(a=3, c=1)
    assert (
        both == f"{ENTRY}: saw 1 labels that train lacks: 'b'; 1 of train's 2 labels missing: 'c' (1 of 3 rows); ids r2"
    )
    assert said(a=1, b=1) is None
