from __future__ import annotations

import json
from pathlib import Path

import pytest

from ftcore.data.two_files import read_two
from ftcore.errors import DataRefused, UsageError
from ftcore.spec import ColumnsSpec

LABELLED = ("classification",)


def write(path: Path, *rows: dict) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_rows_are_named_by_file_and_place(tmp_path: Path) -> None:
    train = write(
        tmp_path / "a.jsonl", {"text": "x", "label": "l"}, {"text": ["no"], "label": "l"}, {"text": "y", "label": "l"}
    )
    files = read_two(train, write(tmp_path / "b.jsonl", {"text": "z", "label": "l"}), ColumnsSpec(), LABELLED)
    assert [row["id"] for row in files.train] == ["a.jsonl:0", "a.jsonl:2"]
    assert (files.format, len(files.malformed)) == ("classification", 1)


def test_files_of_one_name_stay_apart(tmp_path: Path) -> None:
    for side in ("train", "test"):
        (tmp_path / side).mkdir()
        write(tmp_path / side / "rows.jsonl", {"text": side, "label": "l"})
    files = read_two(str(tmp_path / "train/rows.jsonl"), str(tmp_path / "test/rows.jsonl"), ColumnsSpec(), LABELLED)
    assert files.train[0]["id"] != files.test[0]["id"]


def test_conversations_are_found_without_being_asked_for(tmp_path: Path) -> None:
    row = {"prompt": "where is it", "completion": "on its way"}
    files = read_two(
        write(tmp_path / "a.jsonl", row), write(tmp_path / "b.jsonl", row), ColumnsSpec(), LABELLED, ["text"]
    )
    assert (files.format, files.test[0]["text"]) == ("prompt_completion", "where is it")


def test_every_fault_of_both_is_told_in_words_of_the_command_line(tmp_path: Path) -> None:
    train = write(tmp_path / "a.jsonl", {"question": "x", "label": "l"})
    with pytest.raises(DataRefused) as refusal:
        read_two(train, write(tmp_path / "b.jsonl"), ColumnsSpec(), LABELLED)
    assert any("--text-field NAME" in line for line in refusal.value.details)
    assert any("b.jsonl: saw 0 rows" in line for line in refusal.value.details)
    assert not any("data.columns" in line for line in refusal.value.details)
    with pytest.raises(UsageError, match="No file at"):
        read_two(train, str(tmp_path / "none"), ColumnsSpec(), LABELLED)


def test_files_of_different_kinds_are_refused(tmp_path: Path) -> None:
    train = write(tmp_path / "a.jsonl", {"text": "x", "label": "l"})
    test = write(tmp_path / "b.jsonl", {"prompt": "x", "completion": "l"})
    with pytest.raises(DataRefused) as refusal:
        read_two(train, test, ColumnsSpec(), ("classification", "prompt_completion"))
    assert any("wanted both the same" in line for line in refusal.value.details)
