from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ftcore.errors import UsageError
from ftcore.records import SplitReport
from ftcore.validation.expectations import run_suite
from ftcore.validation.suites import Entry, Suite, load_suite, mandatory


def entry(kind: str, column: str | None = None, **kwargs: Any) -> Entry:
    return Entry(kind, kwargs | ({"column": column} if column else {}), {"notes": "why"})


def rows(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"id": f"r{n}", "text": f"message {n}", "label": "ab"[n % 2]} | more for n in range(count)]


def run(tmp_path: Path, members: list[dict[str, Any]], *entries: Entry) -> SplitReport:
    (report,) = run_suite(Suite("s", entries, "d"), {"train": members}, tmp_path / "docs").reports
    return report


UNIQUE = entry("expect_column_values_to_be_unique", "id")


def test_a_good_split_passes_and_docs_are_built(tmp_path: Path) -> None:
    report = run(tmp_path, rows(10), UNIQUE)
    assert report == SplitReport(split="train", num_rows=10, num_expectations=len(mandatory("classification")) + 1)
    assert "s_train" in (tmp_path / "docs" / "index.html").read_text()
    assert list((tmp_path / "docs" / "validations").rglob("*train.html"))
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "home") == ["docs"]


def test_failures_name_ids_and_counts_never_text(tmp_path: Path) -> None:
    members = [*rows(9), {"id": "long", "text": "secret " * 20, "label": "Bad Label"}]
    report = run(tmp_path, members, entry("expect_column_value_lengths_to_be_between", "text", max_value=50),
                 entry("expect_column_values_to_match_regex", "label", regex="^[a-z]+$"),
                 entry("expect_column_unique_value_count_to_be_between", "label", max_value=2))  # fmt: skip
    assert report.failed[0].startswith(
        "expect_column_value_lengths_to_be_between(text): wanted max_value=50; saw 1 of 10 rows"
    )
    assert report.failed[0].endswith("ids long")
    assert "values Bad Label" in report.failed[1]
    assert report.failed[2].endswith("saw 3")
    assert "secret" not in "".join(report.failed)


def test_an_empty_split_never_passes(tmp_path: Path) -> None:
    report = run(
        tmp_path, [], entry("expect_column_values_to_not_be_null", "text")
    )  # GX alone says success to this one
    assert report.num_rows == 0
    assert report.failed == (
        f"saw 0 rows, wanted at least 1; none of {len(mandatory('classification')) + 1} expectations can be judged",
    )


def test_an_all_null_column_never_passes(tmp_path: Path) -> None:
    report = run(tmp_path, rows(5, source=None), entry("expect_column_values_to_be_in_set", "source", value_set=["x"]))
    assert report.failed == (
        "expect_column_values_to_be_in_set(source): looked at no value at all (of 5 rows), which proves nothing",
    )


def test_a_missing_column_is_named_and_hides_nothing(tmp_path: Path) -> None:
    bare = [{"id": "r1", "text": "a"}, {"id": "r1", "text": "b"}]
    report = run(tmp_path, bare, entry("expect_column_values_to_not_be_null", "source"), UNIQUE)
    assert any("expect_column_to_exist(label)" in line for line in report.failed)
    assert any("(source): no column 'source'; saw id, text" in line for line in report.failed)
    assert any("be_unique(id): saw 2 of 2 rows" in line for line in report.failed)


def test_an_exception_inside_an_expectation_is_a_failure_and_hides_nothing(tmp_path: Path) -> None:
    raising = entry("expect_column_max_to_be_between", "text", max_value=3)  # compares text with a number
    report = run(
        tmp_path, rows(4), raising, entry("expect_column_values_to_be_in_set", "label", value_set=["a"]), UNIQUE
    )
    assert len(report.failed) == 2
    assert "instead of an answer" in report.failed[0]
    assert "saw 2 of 4 rows (50.00%)" in report.failed[1]


def test_every_fault_of_a_suite_is_listed(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        run(tmp_path, rows(2), entry("expect_magic"), entry("expect_column_values_to_be_unique", colum="id"), UNIQUE)
    assert "no such expectation" in str(caught.value)
    assert "expect_column_values_to_be_unique: " in str(caught.value)


def test_row_text_cannot_become_markup_in_the_docs(tmp_path: Path) -> None:
    attack = "<script>alert(1)</script>"
    run(tmp_path, [*rows(3), {"id": attack, "text": attack, "label": attack, "source": attack}],
        entry("expect_column_values_to_match_regex", "label", regex="^[a-z]+$"),
        entry("expect_column_values_to_be_unique", "<i>markup</i>"),
        entry("expect_column_most_common_value_to_be_in_set", "source", value_set=["a"]),
        entry("expect_column_value_lengths_to_be_between", "text", max_value=12))  # fmt: skip
    pages = "".join(path.read_text() for path in (tmp_path / "docs").rglob("*.html"))
    assert "alert(1)" in pages
    assert attack not in pages


def test_the_starter_suite_on_a_plain_set(tmp_path: Path) -> None:
    from ftcore.validation.suites import starter

    splits = {"train": rows(60), "validation": rows(20), "test": rows(30)}
    reports = run_suite(load_suite(starter("classification")), splits, tmp_path / "docs").reports  # type: ignore[arg-type]
    assert [report.failed for report in reports] == [(), (), ()]


def test_unfit_are_the_rows_that_break_what_was_not_met(tmp_path: Path) -> None:
    members = [*rows(99), {"id": "odd", "text": "m", "label": "Tablet issue"}]
    strict = entry("expect_column_values_to_match_regex", "label", regex="^[a-z]$")
    lenient = entry("expect_column_values_to_match_regex", "label", regex="^[a-z]$", mostly=0.9)
    for expectation, unfit in ((strict, {"odd"}), (lenient, set())):
        result = run_suite(Suite("s", (expectation,), "d"), {"train": members}, tmp_path / "docs")
        assert result.unfit == unfit
