"""Drift on people's own files."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ftcore.cli import app
from ftcore.errors import UsageError
from ftcore.monitoring.files import compare_files, read_columns
from ftcore.serving.log import append_rows

BANK = ["my", "card", "was", "declined", "at", "the", "shop", "please", "help", "me", "pay", "bill", "today"]
SHOP = ["the", "tablet", "arrived", "with", "a", "cracked", "screen", "i", "want", "refund", "or", "new", "one"]


def texts(n: int, seed: int, other: float = 0.0) -> list[str]:
    chance = random.Random(seed)
    return [
        " ".join(chance.choices(SHOP if chance.random() < other else BANK, k=chance.randint(5, 9))) for _ in range(n)
    ]


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_plain_text(tmp_path: Path) -> None:
    reference = write(tmp_path / "a.txt", texts(400, 1))
    same, shifted = write(tmp_path / "b.txt", texts(300, 2)), write(tmp_path / "c.txt", texts(300, 3, other=0.3))
    calm, tests = compare_files(reference, same)
    assert (calm.verdict, [test.name for test in tests]) == ("ok", ["length", "vocabulary"])
    drifted, _ = compare_files(reference, shifted)
    assert drifted.verdict == "drift"
    assert "Messages use other words" in drifted.reasons[0]


def test_history_of_ordinary_windows_raises_the_floor(tmp_path: Path) -> None:
    reference = write(tmp_path / "a.txt", texts(400, 1))
    history = tmp_path / "history"
    history.mkdir()
    for number in range(5):
        write(history / f"{number}.txt", texts(250, 10 + number, other=0.35))
    current = write(tmp_path / "c.txt", texts(300, 3, other=0.25))
    assert compare_files(reference, current)[0].verdict == "drift"
    assert compare_files(reference, current, history)[0].verdict == "watch"


def test_logs_jsonl_and_csv_read_alike(tmp_path: Path) -> None:
    rows = [
        {"id": str(n), "at": f"{n:03}", "text": f"t {n}", "prediction": "a", "confidence": n / 10} for n in range(9)
    ]
    append_rows(tmp_path / "log", rows)
    write(tmp_path / "r.jsonl", [json.dumps(row) for row in rows])
    write(tmp_path / "r.csv", ["text,label,score", *(f"t {n},a,{n / 10}" for n in range(9))])
    found = [read_columns(tmp_path / name) for name in ("log", "r.jsonl", "r.csv")]
    for columns in found:
        assert (columns.num_rows, columns.text, columns.prediction) == (9, found[0].text, ["a"] * 9)
        assert columns.confidence is not None
        assert columns.confidence.tolist() == [n / 10 for n in range(9)]


@pytest.mark.parametrize(
    ("name", "lines", "part"),
    [
        ("a.jsonl", ['{"x": 1}'], "none of the columns text, prediction, confidence, reply; it has: x"),
        ("a.jsonl", ["not json"], "row 0 is not JSON"),
        ("a.jsonl", ["[1]"], "row 0 is list"),
        ("a.csv", ["confidence", "0.5", "many"], "confidence of row 1 is 'many'"),
        ("a.jsonl", ['{"confidence": NaN}'], "confidence of row 0 is nan"),
    ],
)
def test_faulty_files_are_explained(tmp_path: Path, name: str, lines: list[str], part: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_columns(write(tmp_path / name, lines))
    assert part in caught.value.message


def test_missing_and_binary_files_are_explained(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")
    for path, part in (
        (tmp_path / "no.csv", "No file at"),
        (tmp_path / "b.txt", "not UTF-8"),
        (tmp_path, "holds no log segments"),
    ):
        with pytest.raises(UsageError, match=part):
            read_columns(path)


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference, current = write(tmp_path / "a.txt", texts(250, 1)), write(tmp_path / "b.txt", texts(50, 2))
    arguments = ["drift", "--reference", str(reference), "--current", str(current), "--json"]
    monkeypatch.setattr("sys.argv", ["ftcore", *arguments])
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert set(answer) == {"verdict", "p_value", "tests", "reasons", "seconds"}
    assert (answer["verdict"], answer["p_value"], answer["tests"]) == ("insufficient", None, [])
    more = ["--min-rows", "20"]
    monkeypatch.setattr("sys.argv", ["ftcore", *arguments, *more])
    answer = json.loads(CliRunner().invoke(app, [*arguments, *more]).stdout)
    assert answer["verdict"] == "ok"
    assert set(answer["tests"][0]) == {"name", "statistic", "p_value", "p_adjusted", "effect", "floor"}


def test_replies_in_files_and_logs_are_no_classes(tmp_path: Path) -> None:
    chance = random.Random(7)
    for name, low, high in (("a", 3, 9), ("b", 3, 9), ("c", 20, 30)):
        rows = [
            {"text": text, "reply": " ".join(chance.choices(BANK, k=chance.randint(low, high)))}
            for text in texts(250, 8)
        ]
        write(tmp_path / f"{name}.jsonl", [json.dumps(row) for row in rows])
        append_rows(tmp_path / name, [
            {"id": str(number), "at": "t", "text": row["text"], "prediction": row["reply"] if number else "", "confidence": 0.5,
             "num_answer_chars": len(row["reply"]), "stopped": True}
            for number, row in enumerate(rows)
        ])  # fmt: skip
    calm, tests = compare_files(tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    assert (calm.verdict, {test.name for test in tests}) == ("ok", {"length", "vocabulary", "reply_length", "repeats"})
    drifted, tests = compare_files(tmp_path / "a", tmp_path / "c")
    assert drifted.verdict == "drift" and "Reply lengths" in drifted.reasons[0]
    assert {test.name for test in tests} == {"confidence", "length", "vocabulary", "reply_length", "ended", "repeats"}
