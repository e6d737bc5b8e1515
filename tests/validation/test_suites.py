from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ftcore.errors import UsageError
from ftcore.validation.suites import load_suite, mandatory, starter

ROOT = Path(__file__).parents[2]


def write(folder: Path, *expectations: Any) -> Path:
    path = folder / "suite.json"
    path.write_text(json.dumps({"name": "s", "expectations": list(expectations)}))
    return path


UNIQUE = {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "id"}, "meta": {"notes": "why"}}


@pytest.mark.parametrize("path", [starter("classification"), ROOT / "expectations" / "classification.json"])
def test_shipped_suites_say_why(path: Path) -> None:
    suite = load_suite(path)
    assert suite.name == "classification"
    assert all(len(entry.meta["notes"]) > 20 for entry in suite.entries)


def test_every_fault_is_listed(tmp_path: Path) -> None:
    path = write(tmp_path, UNIQUE, "text", {"type": "expect_x", "kwargs": [], "meta": {}}, UNIQUE | {"extra": 1},
                 UNIQUE | {"meta": {"notes": "w", "splits": ["dev"]}})  # fmt: skip
    with pytest.raises(UsageError) as caught:
        load_suite(path)
    message = str(caught.value)
    for seen in (
        "expectations[1]",
        "expectations[2] expect_x: meta.notes",
        "kwargs is a list",
        "unknown keys extra",
        "['dev']",
    ):
        assert seen in message


def test_missing_broken_and_empty_suites(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="validation.suite"):
        load_suite(tmp_path / "no.json")
    (tmp_path / "suite.json").write_text("{")
    with pytest.raises(UsageError, match="Cannot read"):
        load_suite(tmp_path / "suite.json")
    (tmp_path / "suite.json").write_text("[]")
    with pytest.raises(UsageError, match="not an expectation suite"):
        load_suite(tmp_path / "suite.json")
    with pytest.raises(UsageError, match="empty list"):
        load_suite(write(tmp_path))


def test_what_applies_where(tmp_path: Path) -> None:
    optional = {"type": "e", "kwargs": {"column": "source"}, "meta": {"notes": "w", "if_present": True}}
    suite = load_suite(write(tmp_path, UNIQUE, UNIQUE | {"meta": {"notes": "w", "splits": ["train"]}}, optional))
    assert len(suite.for_split("train", ["id", "source"])) == len(mandatory("classification")) + 3
    assert len(suite.for_split("test", ["id"])) == len(mandatory("classification")) + 1


def test_digest_is_of_the_content(tmp_path: Path) -> None:
    path = write(tmp_path, UNIQUE)
    before = load_suite(path).digest
    path.write_text(json.dumps(json.loads(path.read_text()), indent=4))
    assert load_suite(path).digest == before
