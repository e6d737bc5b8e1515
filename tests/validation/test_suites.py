from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ftcore.errors import UsageError
from ftcore.validation.suites import ABOUT_TOKENS, STARTERS, load_suite, mandatory, starter

ROOT = Path(__file__).parents[2]


def write(folder: Path, *expectations: Any) -> Path:
    path = folder / "suite.json"
    path.write_text(json.dumps({"name": "s", "expectations": list(expectations)}))
    return path


UNIQUE = {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "id"}, "meta": {"notes": "why"}}


@pytest.mark.parametrize(
    "path", [*STARTERS.glob("*.json"), *(ROOT / "expectations").glob("*.json")], ids=lambda path: path.stem
)
def test_shipped_suites_say_why(path: Path) -> None:
    suite = load_suite(path)
    assert suite.name == path.stem
    assert all(len(entry.meta["notes"]) > 20 for entry in suite.entries)


def test_every_fault_is_listed(tmp_path: Path) -> None:
    path = write(tmp_path, UNIQUE, "text", {"type": "expect_x", "kwargs": [], "meta": {}}, UNIQUE | {"extra": 1},
                 UNIQUE | {"meta": {"notes": "w", "splits": ["dev"]}},
                 UNIQUE | {"meta": {"notes": "w", "action": "drop", "reason": "No Word", "wanted": 3}})  # fmt: skip
    with pytest.raises(UsageError) as caught:
        load_suite(path)
    message = str(caught.value)
    for seen in (
        "expectations[1]",
        "expectations[2] expect_x: meta.notes",
        "kwargs is a list",
        "unknown keys extra",
        "['dev']",
        "meta.action is 'drop'",
        "meta.reason is 'No Word'",
        "meta.wanted is 3",
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


def test_every_task_has_a_starter_and_others_have_none() -> None:
    assert [path.stem for path in sorted(STARTERS.glob("*.json"))] == ["classification", "instruction", "seq2seq"]
    with pytest.raises(UsageError, match="'poetry'; known: classification, instruction, seq2seq"):
        starter("poetry")


def test_optional_expectations_about_tokens_need_a_tokenizer(tmp_path: Path) -> None:
    counted = {"type": ABOUT_TOKENS[0], "kwargs": {"column": "text"}, "meta": {"notes": "w", "if_present": True}}
    suite = load_suite(write(tmp_path, UNIQUE, counted))
    assert suite.needs_tokenizer
    assert not load_suite(write(tmp_path, UNIQUE)).needs_tokenizer
    here, there = (suite.for_split("train", ["id", "text"], has_tokenizer=known) for known in (False, True))
    assert len(there) - len(here) == 1


def test_leaked_rows_are_never_set_aside_by_a_suite(tmp_path: Path) -> None:
    path = tmp_path / "suite.json"
    entry = {"type": "expect_table_to_have_no_leaks", "meta": {"notes": "why", "action": "quarantine"}}
    path.write_text(json.dumps({"name": "s", "expectations": [entry]}))
    with pytest.raises(UsageError) as caught:
        load_suite(path)
    assert "leave train" in str(caught.value.details)


def test_word_lists_are_named(tmp_path: Path) -> None:
    path = tmp_path / "suite.json"
    kind = "expect_column_text_to_have_no_listed_words"
    entries = [
        {"type": kind, "kwargs": {"column": "text"} | more, "meta": {"notes": "why"}}
        for more in ({"words_file": "b.txt"}, {}, {"words_file": "a.txt"})
    ]
    path.write_text(json.dumps({"name": "s", "expectations": entries}))
    assert load_suite(path).word_files == ["a.txt", "b.txt"]
