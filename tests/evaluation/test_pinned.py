from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ftcore.errors import UsageError
from ftcore.evaluation.pinned import PinnedRows, read_pinned
from ftcore.spec import FineTuneSpec


def read(root: Path, rows: list[dict[str, Any]], task: str = "classification") -> PinnedRows:
    path = root / "must_pass.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    raw = {"name": "tiny", "task": task, "base_model": {"name": "none"}, "evaluation": {"must_pass": "must_pass.jsonl"}}
    return read_pinned(FineTuneSpec.model_validate(raw), path)


def test_a_class_must_be_the_rows_label(tmp_path: Path) -> None:
    pinned = read(tmp_path, [{"text": "where is it", "label": "track"}, {"text": "hello", "label": "other"}])
    assert pinned.passed(["track", "track"]) == [True, False]


def test_an_answer_must_be_the_rows_own_or_hold_its_pattern(tmp_path: Path) -> None:
    rows = [
        {"prompt": "hi", "completion": "Hello  there"},
        {"prompt": "refund?", "completion": "", "must_match": r"(?i)within 1[0-9] days"},
    ]
    rows[1]["completion"] = "Within 14 days."
    pinned = read(tmp_path, rows, "instruction")
    assert pinned.passed(["Hello there ", "You have it within 14 days of today."]) == [True, True]
    assert pinned.passed(["Hello there!", "Within a week."]) == [False, False]


def test_faults_are_listed_all_at_once(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "completion": "b", "must_match": "("}, {"prompt": "c", "completion": "d", "must_match": 3}]
    with pytest.raises(UsageError) as caught:
        read(tmp_path, rows, "instruction")
    assert len(caught.value.details) == 2 and "row 0" in caught.value.details[0]
    with pytest.raises(UsageError) as caught:
        read(tmp_path, [])
    assert caught.value.details
    with pytest.raises(UsageError, match="wanted a .jsonl file"):
        read_pinned(
            FineTuneSpec.model_validate({"name": "tiny", "base_model": {"name": "none"}}), tmp_path / "no.jsonl"
        )
