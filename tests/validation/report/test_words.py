from __future__ import annotations

from dataclasses import replace

from ftcore.validation.findings import Finding
from ftcore.validation.report.words import expected, next_steps, seen, wanted
from tests.validation.report.hostile import report_of

FINDING = Finding(
    "train", "expect_column_values_to_not_be_null(text)", "refuse", "null",
    "expect_column_values_to_not_be_null(text): wanted mostly=0.98; saw 9 of 60 rows (15.00%) at fault; ids a, b",
    "why", 9,
)  # fmt: skip


def test_a_finding_in_plain_words() -> None:
    assert expected(FINDING) == "expected of “text”: values to not be null"
    assert wanted(FINDING) == "in at least 98 % of the rows"
    assert seen(FINDING) == "9 of 60 rows (15.00%) at fault; ids a, b"
    assert seen(FINDING, ids=False) == "9 of 60 rows (15.00%) at fault"


def test_a_finding_without_settings_or_column() -> None:
    finding = replace(FINDING, expectation="rows", said="saw 0 rows, wanted at least 1")
    assert (expected(finding), wanted(finding), seen(finding)) == (
        "expected: rows", "", "0 rows, wanted at least 1",
    )  # fmt: skip


def test_next_steps_follow_from_what_was_found() -> None:
    report = replace(report_of("x"), findings=(FINDING,), refused=("test has 2 rows with labels that train lacks: b",))
    steps = "\n".join(next_steps(report))
    assert "Correct or remove the rows" in steps
    assert "Give every label" in steps
    assert "Too much of the test set" in steps  # 1 of 5 rows
    assert "ftcore run" not in steps
    leaks = replace(report.leaks, num_leaked=0, num_conflicting=0)
    few = "\n".join(next_steps(replace(report, leaks=leaks, findings=(), refused=("x",))))
    assert "Correct or remove" not in few
    assert "Too much" not in few
    assert "new data version" in few


def test_fit_data_go_to_training_and_doubts_are_named() -> None:
    steps = next_steps(replace(report_of("x"), refused=(), findings=()))
    assert steps[-1].startswith("Train: ftcore run")
    assert any("conflicting labels" in step for step in steps)
    assert any("predicts the label" in step for step in steps)
