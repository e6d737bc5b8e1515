from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ftcore.cli import app
from ftcore.errors import UsageError
from tests.tiny_bert import build_tiny_bert


def leakage(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ftcore", "leakage", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    train = tmp_path / "train.csv"
    train.write_text(
        "question,who,when,y\nsame text,c1,2026-01-01,a\nHello World,c2,2026-03-01,b\nmine,c3,2026-01-02,a\n"
    )
    test = tmp_path / "test.jsonl"
    rows = [
        {"question": "new", "who": "c3", "when": "2026-04-01", "y": "a"},
        {"question": "same text", "who": "c9", "when": "2026-04-02", "y": "a"},
        {"question": "hello, world!", "who": "c8", "when": "2026-02-01", "y": "a"},
    ]
    test.write_text("\n".join(map(json.dumps, rows)))
    return ["--train", str(train), "--test", str(test), "--text-field", "question"]


def answer(*args: str) -> dict[str, Any]:
    result = leakage(*args, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)  # type: ignore[no-any-return]


def test_the_documented_answer(files: list[str]) -> None:
    found = answer(*files)
    assert found.keys() >= {"rows", "hits", "leaked_test_rows", "train_rows_to_drop", "seconds"}
    assert (found["verdict"], found["refused"], found["num_malformed"]) == (None, [], 0)
    assert found["rows"] == {"train": 3, "test": 3}
    assert found["hits"] == [
        {"rule": "exact", "test_row": 1, "train_row": 0, "score": 1.0},
        {"rule": "normalised", "test_row": 2, "train_row": 1, "score": 1.0},
    ]
    assert found["leaked_test_rows"] == [1, 2]
    assert found["train_rows_to_drop"] == [0, 1]


def test_group_time_and_label_fields(files: list[str]) -> None:
    found = answer(*files, "--group-field", "who", "--time-field", "when", "--label-field", "y")
    hits = {(hit["rule"], hit["test_row"], hit["train_row"]) for hit in found["hits"]}
    assert hits == {("group", 0, 2), ("exact", 1, 0), ("normalised", 2, 1), ("time", 2, 1)}
    assert found["conflicting_labels"] == 1


def test_a_budget_makes_it_a_check(files: list[str]) -> None:
    refused = leakage(*files, "--max-leaked", "0.5")
    assert refused.returncode == 3
    assert refused.stdout.endswith("Refused: 2 of 3 test rows (66.67%) leaked, wanted at most 50.00% (--max-leaked)\n")
    told = json.loads(leakage(*files, "--max-leaked", "0.5", "--json").stdout)
    assert (told["verdict"], len(told["refused"]), told["num_malformed"]) == ("refused", 1, 0)
    fine = leakage(*files, "--max-leaked", "0.7")
    assert (fine.returncode, "Refused" in fine.stdout) == (0, False)
    assert answer(*files, "--max-leaked", "0.7")["verdict"] == "ok"
    text = leakage(*files).stdout
    assert "2 test rows leaked (66.67%)" in text


def test_mistakes_get_a_message(files: list[str], tmp_path: Path) -> None:
    wrong = leakage(*files[:4])
    assert wrong.returncode == 3
    assert "no column for text: saw the columns 'question', 'who', 'when', 'y'" in wrong.stderr
    assert "--text-field" in wrong.stderr
    missing = leakage("--train", str(tmp_path / "no.csv"), "--test", files[3])
    assert missing.returncode == 2
    (tmp_path / "empty.csv").write_text("question\n")
    empty = leakage(*files[:2], "--test", str(tmp_path / "empty.csv"), "--text-field", "question")
    assert "saw 0 rows" in empty.stderr
    assert not any("Traceback" in result.stderr for result in (wrong, missing, empty))


@pytest.mark.functional
def test_paraphrases_are_shown_and_count_for_nothing(files: list[str], tmp_path: Path) -> None:
    build_tiny_bert(tmp_path / "base")
    model = ("--paraphrases", str(tmp_path / "base"), "--cosine", "0.01")
    found = answer(*files, *model, "--max-leaked", "0.7")
    assert {hit["rule"] for hit in found["paraphrases"]} == {"paraphrase"}
    assert found["leaked_test_rows"] == answer(*files)["leaked_test_rows"]
    assert "perhaps (counted nowhere" in leakage(*files, *model).stdout


def said(*args: str) -> str:
    """The same without another process."""
    result = CliRunner().invoke(app, ["leakage", *args])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


@pytest.fixture
def labelled(tmp_path: Path) -> list[str]:
    """The channel decides the label, the colour does not; some texts come twice with different labels."""
    words = [
        "alpha",
        "bravo",
        "carbon",
        "delta",
        "echo",
        "foxtrot",
        "gamma",
        "hotel",
        "india",
        "juliet",
        "kilo",
        "lima",
    ]
    colours = ["red", "blue", "pink"]
    lines = ["text,y,channel,colour,who"]
    for n in range(120):
        text = f"{words[n % 12]} {words[n // 12]} item{n}"
        lines.append(f"{text},{'ab'[n % 2]},{['mail', 'chat'][n % 2]},{colours[n // 2 % 3]},c{n}")
    train, test = tmp_path / "train.csv", tmp_path / "test.jsonl"
    more = ["please close my account,a,mail,red,x1", "Please close my account!,b,chat,red,x2"]
    train.write_text("\n".join([lines[0], "list,of,things,text,text", *lines[1:], *more]) + "\n")
    rows: list[dict[str, Any]] = [
        {"text": ["no"], "y": "a", "channel": "mail", "colour": 1, "who": "z0"},  # malformed: left out
        {"text": "please close my account", "y": "c", "channel": "mail", "colour": 2, "who": "z1"},
        {"text": "where is the parcel", "y": "a", "channel": "mail", "colour": None, "who": "z2"},
        {"text": "where is the parcel", "y": "b", "channel": "chat", "colour": 3, "who": "z3"},
    ]
    test.write_text("\n".join(map(json.dumps, rows)))
    return ["--train", str(train), "--test", str(test), "--label-field", "y"]


def test_the_same_text_under_different_labels_is_told_wherever_it_is(labelled: list[str]) -> None:
    found = json.loads(said(*labelled, "--json"))
    within = [
        ([(side["split"], side["row"], side["label"]) for side in item["rows"]], item["score"])
        for item in found["conflicts_within"]
    ]
    assert within == [
        ([("train", 122, "b"), ("train", 121, "a")], 1.0),
        ([("test", 3, "b"), ("test", 2, "a")], 1.0),
    ]
    across = [(item["test_row"], item["train_row"], *item["labels"]) for item in found["conflicts"]]
    assert sorted(across) == [(1, 121, "c", "a"), (1, 122, "c", "b")]
    assert found["leaked_test_rows"] == [1]  # contradictions alone are no leak
    text = said(*labelled)
    assert "within train" in text
    assert "test row 3 = test row 2: 'b' or 'a', 1.00\n    where is the parcel" in text
    assert "train row 122 = train row 121: 'b' or 'a', 1.00" in text


def test_columns_that_give_labels_away(labelled: list[str]) -> None:
    columns = ("--metadata", "channel", "--metadata", "colour")
    found = json.loads(said(*labelled, *columns, "--group-field", "who", "--json"))["metadata"]
    by_place = {(item["split"], item["column"]): item for item in found}
    assert by_place.keys() == {(split, name) for split in ("train", "test") for name in ("channel", "colour", "who")}
    assert by_place["train", "channel"]["auc"] > 0.95
    assert by_place["train", "channel"]["suspicious"]
    assert not by_place["train", "colour"]["suspicious"]
    assert by_place["test", "channel"] == {"split": "test", "column": "channel", "auc": None, "suspicious": False}
    text = said(*labelled, *columns)
    assert "channel: gives labels away" in text
    assert "test  too few rows, labels or values to say  colour" in text


def test_mistakes_about_metadata(labelled: list[str]) -> None:
    with pytest.raises(UsageError, match="name the label's column: --label-field"):
        said(*labelled[:4], "--metadata", "who")
    seen = "train.csv: no column 'chanel'; saw the columns 'text', 'y', 'channel', 'colour', 'who'"
    with pytest.raises(UsageError, match=seen):
        said(*labelled, "--metadata", "chanel", "--metadata", "who")
