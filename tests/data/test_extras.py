"""Texts and ratings for phases: cleaned, without repeats and personal data, and never what the model is judged on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ftcore.data.extras import Extras, read_extras, read_texts
from ftcore.data.personal import Finder, PersonalSpan
from ftcore.errors import DataMissing, DataRefused, UsageError
from ftcore.spec import FineTuneSpec

TEST = "where can I find the card that I ordered two weeks ago from you"
VALIDATION = "why was I charged twice for the same payment at the petrol station"


def spec(method: dict[str, Any], **sections: Any) -> FineTuneSpec:
    task = "instruction" if "prefer" in method else "classification"
    return FineTuneSpec.model_validate(
        {"name": "x", "task": task, "base_model": {"name": "m"}, "method": method, **sections}
    )


def extras(folder: Path, method: dict[str, Any], find_more: Finder | None = None, **sections: Any) -> Extras:
    splits: Any = {
        "train": [{"id": "1", "text": "a train row"}],
        "validation": [{"id": "2", "text": VALIDATION}],
        "test": [{"id": "3", "text": TEST}],
    }
    return read_extras(spec(method, **sections), folder, splits, find_more)


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    lines = [
        "Cards are sent by post.",
        "",
        f"{TEST.upper()}!",
        "Cards are  sent by post.",
        VALIDATION,
        "Call anna@example.org",
    ]
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "notes.txt").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "data.jsonl").write_text("{}")
    return tmp_path


def test_texts_are_free_of_what_is_judged(texts: Path) -> None:
    found = extras(texts, {"adapt": {"texts": ["more/*.txt"]}})
    assert found.texts is not None and found.preferences is None and not found.refused
    assert [row["text"] for row in found.texts] == ["Cards are sent by post.", "Call anna@example.org"]
    assert sorted((item["id"], item["reason"]) for item in found.left_out) == [
        ("texts:more/notes.txt:3", "leaked"), ("texts:more/notes.txt:4", "duplicate"), ("texts:more/notes.txt:5", "leaked"),
    ]  # fmt: skip
    assert {item["split"] for item in found.left_out} == {"texts"}


@pytest.mark.parametrize(("rule", "last"), [("redact", "Call [EMAIL]"), ("quarantine", "Cards are sent by post.")])
def test_personal_data_is_treated_as_everywhere(texts: Path, rule: str, last: str) -> None:
    found = extras(texts, {"adapt": {"texts": ["more/notes.txt"]}}, prepare={"personal_data": rule})
    assert found.texts is not None and found.texts[-1]["text"] == last


def test_another_engine_finds_more(texts: Path) -> None:
    def cards(text: str) -> list[PersonalSpan]:
        at = text.find("Cards")
        return [PersonalSpan(at, at + 5, "person")] if at >= 0 else []

    found = extras(texts, {"adapt": {"texts": ["more/notes.txt"]}}, cards, prepare={"personal_data": "redact"})
    assert found.texts is not None
    assert [row["text"] for row in found.texts] == ["[PERSON] are sent by post.", "Call [EMAIL]"]


def test_files_of_rows_are_not_read_twice(texts: Path) -> None:
    with pytest.raises(UsageError, match=r"data\.jsonl matches method\.adapt\.texts and data\.files"):
        extras(texts, {"adapt": {"texts": ["*.jsonl"]}})
    with pytest.raises(DataMissing, match=r"No file matches 'gone\.txt' \(method\.adapt\.texts\)"):
        extras(texts, {"adapt": {"texts": ["gone.txt"]}})
    with pytest.raises(UsageError, match="leaves the data folder"):
        extras(texts, {"adapt": {"texts": ["../x.txt"]}})


def test_texts_of_tables_stand_in_a_column(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("body,n\nfirst,1\nsecond,2\n")
    rows, faults = read_texts(path, column="body")
    assert [row["text"] for row in rows] == ["first", "second"] and not faults.count
    rows, faults = read_texts(path)
    assert not rows and faults.report() == ["a.csv line 2: no column 'text' (data.columns.text)"]


def thumbs(folder: Path, *rows: dict[str, Any]) -> None:
    (folder / "ratings").mkdir(exist_ok=True)
    (folder / "ratings" / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


PREFER = {"prefer": {"data": ["ratings/*.jsonl"]}}


def test_ratings_of_judged_prompts_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [{"prompt": f"question {n} about cards", "completion": "yes", "rating": n % 2} for n in range(4)]
    thumbs(tmp_path, *rows, {"prompt": TEST, "completion": "by post", "rating": 1}, rows[0])
    found = extras(tmp_path, PREFER)
    assert found.preferences is not None and len(found.preferences) == 4 and not found.refused
    assert [(item["split"], item["reason"]) for item in found.left_out] == [
        ("preferences", "duplicate"), ("preferences", "leaked"),
    ]  # fmt: skip


def test_one_sided_or_missing_ratings_refuse_the_set(tmp_path: Path) -> None:
    thumbs(tmp_path, *({"prompt": f"question {n}", "completion": "yes", "rating": 1} for n in range(3)))
    assert extras(tmp_path, PREFER).refused == ["method.prefer has 3 good and 0 bad ratings, wanted some of both"]
    thumbs(tmp_path, {"prompt": TEST, "completion": "yes", "rating": 1})
    assert extras(tmp_path, PREFER).refused == ["0 rows are left for method.prefer, wanted at least 2"]


def test_ratings_may_be_to_come_but_named_files_may_not(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text("{}")
    found = extras(tmp_path, PREFER)
    assert (found.preferences, found.refused) == ([], [])
    with pytest.raises(DataMissing, match="ratings/may.jsonl"):
        extras(tmp_path, {"prefer": {"data": ["ratings/*.jsonl", "ratings/may.jsonl"]}})
    with pytest.raises(DataMissing):
        extras(tmp_path, {"adapt": {"texts": ["more/*.txt"]}})


def test_malformed_ratings_are_set_aside_or_refuse_the_set(tmp_path: Path) -> None:
    good = [{"prompt": f"question {n}", "completion": "yes", "rating": n % 2} for n in range(39)]
    thumbs(tmp_path, *good, {**good[0], "rating": "?"})
    found = extras(tmp_path, PREFER)
    assert not found.refused and [item["reason"] for item in found.left_out] == ["malformed_rating"]
    thumbs(tmp_path, *good[:4], {**good[0], "rating": "?"})
    assert "1 of 5 rows (20.00%) are malformed" in extras(tmp_path, PREFER).refused[0]
    thumbs(tmp_path, {"text": "a"})
    with pytest.raises(DataRefused) as caught:
        extras(tmp_path, PREFER)
    assert "saw the columns 'text'" in str(caught.value.details)
