from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from hypothesis import given

from ftcore.validation.report import render, write_report
from tests.html.reading import UNSHOWN, read
from tests.html.test_elements import ANY
from tests.validation.report.hostile import report_of


@given(ANY)
def test_whatever_the_data_say_the_page_has_the_elements_of_the_template(text: str) -> None:
    page = render(report_of(text))
    assert read(page).outline == read(render(report_of("x"))).outline
    assert not UNSHOWN.search(page)
    page.encode()


def test_scripts_and_loads_are_in_no_page() -> None:
    page = render(report_of("<script src=//evil.example></script>"))
    assert not re.search(r"<script|<img|<iframe|<[a-z]+[^>]*\s(?:src|on\w+)\s*=", page)
    assert "&lt;script src=//evil.example&gt;" in page


def test_the_verdict_comes_first_with_reasons_and_next_steps() -> None:
    refused = "".join(read(render(report_of("x"))).text)
    assert refused.index("This data is refused") < refused.index("What to do next") < refused.index("What fell short")
    fit = "".join(read(render(replace(report_of("x"), refused=(), findings=()))).text)
    assert "This data may be trained on" in fit
    assert "every expectation was met in every split" in fit
    assert "ftcore run" in fit


def test_a_reason_leads_to_its_finding() -> None:
    page = render(report_of("x"))
    assert 'href="#finding-0"' in page
    assert 'id="finding-0"' in page


def test_many_labels_findings_and_ids_are_cut() -> None:
    report = report_of("x")
    many = replace(report.splits[0], labels={f"label{n}": 100 - n for n in range(90)}, sources={})
    finding = replace(report.findings[0], row_ids=tuple(f"row{n}" for n in range(500)), num_rows=500)
    text = "".join(read(render(replace(report, splits=(many,), findings=(finding,) * 200))).text)
    assert "label39" in text
    assert "label40" not in text
    assert "(others)" in text
    assert "row39 " in text
    assert "row40" not in text
    assert "and 460 more, listed in findings.json" in text
    assert "140 more are in findings.json" in text


def test_unknown_things_are_said_to_be_unknown() -> None:
    text = "".join(read(render(replace(report_of("x"), changes=None, probes=()))).text)
    assert "No accepted version is named" in text
    assert "Can the label be told" not in text


def test_leaks_are_not_judged_without_rows() -> None:
    empty = [replace(split, num_rows=0, num_words=()) for split in report_of("x").splits]
    assert "Not judged: train or test has no rows." in render(replace(report_of("x"), splits=tuple(empty)))


def test_the_file_is_written(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", report_of("x"))
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == render(report_of("x"))
