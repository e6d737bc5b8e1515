from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ftcore.cli import app
from ftcore.errors import DataRefused, UsageError

CSV = "question,answer\nWhere is it?,On its way.\nWho?,Me.\n"


def convert(*args: object) -> str:
    result = CliRunner().invoke(app, ["convert", *map(str, args)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    path.write_text(CSV)
    return path


NAMES = ("--column", "prompt=question", "--column", "completion=answer")


def test_a_file_is_written_and_told_about(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert convert(source, out, "--to", "sharegpt", *NAMES) == (
        f"2 rows (prompt_completion) written to {out} (sharegpt)\n"
    )
    assert json.loads(out.read_text().splitlines()[1])["conversations"][0] == {"from": "human", "value": "Who?"}
    told = json.loads(convert(out, tmp_path / "turns.txt", "--to", "turns", "--json"))
    assert (told["from"], told["to"], told["num_rows"], told["num_malformed"]) == ("sharegpt", "turns", 2, 0)


def test_malformed_rows_are_listed(source: Path, tmp_path: Path) -> None:
    source.write_text(CSV + "Nobody?,\n")
    with pytest.raises(DataRefused, match="malformed"):
        convert(source, tmp_path / "out.jsonl", "--to", "messages", *NAMES)
    said = convert(source, tmp_path / "out.jsonl", "--to", "messages", *NAMES, "--max-quarantined", "0.5")
    assert "Malformed rows, left out: 1\n  in.csv:2: saw an empty assistant turn (turn 2), wanted text" in said


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "Wanted --to FORMAT, or --template MODEL"),
        (("--to", "messages", "--template", "m"), "Wanted --to FORMAT, or --template MODEL"),
        (("--to", "xml"), "No format 'xml'"),
        (("--to", "messages", "--from", "classification"), r"No format 'classification' \(--from\)"),
        (("--to", "messages", "--column", "promt=q"), "Cannot read --column for 'promt'"),
        (("--to", "messages", "--column", "prompt"), "Cannot read --column for 'prompt'"),
    ],
)
def test_mistakes(source: Path, tmp_path: Path, args: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        convert(source, tmp_path / "out.jsonl", *args)
