"""Ratings as files: what is read, and what is said of rows that are no ratings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ftcore.data.preferences import Kind, Row, read_preferences

ASKED = [{"role": "user", "content": "Where is my card?"}]


def read(tmp_path: Path, kind: Kind, *rows: dict[str, Any]) -> tuple[list[Row], list[str]]:
    path = tmp_path / "ratings.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found, faults = read_preferences(path, kind)
    return found, [fault.detail for fault in faults.rows] + faults.file_report()


@pytest.mark.parametrize(
    "raw",
    [
        {"prompt": "Where is my card?", "completion": "On its way.", "rating": True},
        {"prompt": "Where is my card?", "completion": "On its way.", "label": True},
        {"prompt": ASKED, "completion": [{"role": "assistant", "content": "On its way."}], "rating": 1},
        {"messages": [*ASKED, {"role": "assistant", "content": "On its way."}], "rating": "up"},
        {"messages": json.dumps([*ASKED, {"role": "assistant", "content": "On its way."}]), "rating": "1.0"},
    ],
)
def test_a_thumb_may_be_written_in_several_ways(tmp_path: Path, raw: dict[str, Any]) -> None:
    rows, faults = read(tmp_path, "kto", raw)
    assert not faults
    assert rows == [
        {
            "id": "ratings.jsonl:0", "text": "Where is my card?", "prompt": ASKED, "completion": "On its way.", "rating": True,
        }
    ]  # fmt: skip


def test_ratings_have_two_sides(tmp_path: Path) -> None:
    words = [True, "Good", "👍", 1, "+1", False, "down", "👎", 0, -1, "0.0"]
    rows, faults = read(
        tmp_path, "kto", *({"prompt": "a", "completion": str(n), "rating": word} for n, word in enumerate(words))
    )
    assert not faults
    assert [row["rating"] for row in rows] == [True] * 5 + [False] * 6


def test_a_pair_may_repeat_its_prompt(tmp_path: Path) -> None:
    answers = {part: [*ASKED, {"role": "assistant", "content": part}] for part in ("chosen", "rejected")}
    rows, faults = read(
        tmp_path, "dpo", {"id": "a", "prompt": ASKED, **answers},
        {"id": "b", "prompt": "Where is my card?", "chosen": "chosen", "rejected": "rejected"},
    )  # fmt: skip
    assert not faults
    assert {**rows[0], "id": ""} == {**rows[1], "id": ""}
    assert rows[0] == {
        "id": "a", "text": "Where is my card?", "prompt": ASKED, "chosen": "chosen", "rejected": "rejected",
    }  # fmt: skip


def test_faults_are_told_without_row_text(tmp_path: Path) -> None:
    good = {"prompt": "secret one", "completion": "yes", "rating": 1}
    rows, faults = read(
        tmp_path, "kto", good, {**good, "rating": "perhaps"}, {**good, "rating": None}, {**good, "completion": " "},
        {**good, "prompt": None}, {"messages": ASKED, "rating": 1}, {**good, "rating": 5},
    )  # fmt: skip
    assert len(rows) == 1 and len(faults) == 6
    assert faults[0] == "saw a str of another kind as rating, wanted true or false, 1 or 0, up or down"
    assert faults[1].startswith("saw nothing as rating")
    assert "wanted an assistant turn" in faults[4]
    assert not any("secret" in fault or "perhaps" in fault for fault in faults)


def test_a_pair_needs_two_answers(tmp_path: Path) -> None:
    rows, faults = read(tmp_path, "dpo", {"prompt": "a", "chosen": "b ", "rejected": "b"})
    assert not rows and faults == ["saw the same text as chosen and as rejected, wanted two answers"]


@pytest.mark.parametrize(
    ("kind", "wanted"), [("kto", "messages, rating or prompt, completion, rating"), ("dpo", "chosen")]
)
def test_a_file_of_another_kind_is_refused_once(tmp_path: Path, kind: Kind, wanted: str) -> None:
    rows, faults = read(tmp_path, kind, *[{"text": "a", "label": "b"}] * 3)
    assert not rows and len(faults) == 1
    assert "saw the columns 'text', 'label'" in faults[0] and wanted in faults[0]
