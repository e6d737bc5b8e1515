from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ftcore.errors import DataRefused, UsageError
from ftcore.evaluation.files import read_predictions
from ftcore.evaluation.matching import match
from ftcore.evaluation.rows import Holdout

HEADER = "id,target,prediction,slice,group\n"


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def matched(champion: Path, candidate: Path) -> Holdout:
    return match({"champion": read_predictions(champion), "candidate": read_predictions(candidate)})


def test_rows_are_matched_by_id_whatever_their_order_and_format(tmp_path: Path) -> None:
    champion = write(tmp_path, "a.csv", "\ufeff" + HEADER + '1,x,x,web,g1\n2,y,"x",mail,g1\n3,x,x,,\n')
    lines = [{"id": 3, "target": "x", "prediction": "y"}, {"id": 1, "target": "x", "prediction": "x"}]
    lines.append({"id": 2, "target": "y", "prediction": "y"})
    candidate = write(tmp_path, "b.jsonl", "\n".join(map(json.dumps, lines)) + "\n\n")
    holdout = matched(champion, candidate)
    x, y = holdout.classes.index("x"), holdout.classes.index("y")
    assert holdout.target.tolist() == [x, y, x]
    assert holdout.predictions["candidate"].tolist() == [x, y, y]
    assert holdout.groups is not None and holdout.groups[0] == holdout.groups[1] != holdout.groups[2]
    assert holdout.slices is not None and holdout.slices["slice"].codes.tolist() == [0, 1, -1]


def test_numbers_and_text_are_one_label(tmp_path: Path) -> None:
    champion = write(tmp_path, "a.csv", "id,target,prediction\n1,3,3\n")
    candidate = write(tmp_path, "b.jsonl", '{"id": "1", "target": 3, "prediction": 3.0}\n')
    assert matched(champion, candidate).classes == ("3",)


def faults(tmp_path: Path, champion: str | bytes, candidate: str | bytes, suffix: str = "csv") -> str:
    paths = write(tmp_path, f"a.{suffix}", champion), write(tmp_path, f"b.{suffix}", candidate)
    with pytest.raises(DataRefused) as caught:
        matched(*paths)
    return str(caught.value)


GOOD = "id,target,prediction\n1,x,x\n2,y,y\n"


@pytest.mark.parametrize(
    ("candidate", "wanted"),
    [
        ("id,target\n1,x\n", "no column prediction; columns seen: id, target"),
        ("", "no rows"),
        ("id,target,prediction\n", "no rows"),
        ("id,target,prediction\n1,x,x\n1,x,x\n", "id seen before: row 1"),
        ("id,target,prediction\n1,x,\n2,y,nan\n", "no prediction: rows 0, 1"),
        ("id,target,prediction\n,x,x\n", "no id: row 0"),
        ("id,target,prediction\n1,x\n", "another number of cells than the header's 3: row 0"),
        ("id,target,prediction\n1,x,x\n3,y,y\n", "1 id of a.csv missing here (row 1 there)"),
        ("id,target,prediction\n1,x,x\n2,x,y\n", "target differs from that of the champion on 1 row (row 1 there)"),
        ("id,target,id,prediction\n", "column id appears twice"),
        (b"id,target,prediction\n1,x,\xff\xfe\n", "not UTF-8"),
        ("id,target,prediction\n1,x," + "x" * 2_000_000 + "\n", "longer than"),
    ],
)
def test_every_fault_is_named(tmp_path: Path, candidate: str | bytes, wanted: str) -> None:
    assert wanted in faults(tmp_path, GOOD, candidate)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("[1]", "not a JSON object: row 0"),
        ("{nope", "not a JSON object: row 0"),
        ("[" * 100_000, "not a JSON object: row 0"),
        ('{"id": 1, "target": "x", "prediction": NaN}', "no prediction: row 0"),
        ('{"id": 1, "target": "x", "prediction": null}', "no prediction: row 0"),
        ('{"id": 1, "target": "x", "prediction": ["x"]}', "no prediction: row 0"),
    ],
)
def test_every_fault_is_named_in_jsonl(tmp_path: Path, line: str, wanted: str) -> None:
    good = '{"id": 1, "target": "x", "prediction": "x"}\n'
    assert wanted in faults(tmp_path, good, line + "\n", "jsonl")


def test_faults_of_both_files_come_at_once_without_row_text(tmp_path: Path) -> None:
    text = faults(tmp_path, "id,target,prediction\n1,secret,\n1,secret,x\n", "id,target\n1,secret\n")
    assert "a.csv (champion): no prediction: row 0" in text
    assert "a.csv (champion): id seen before: row 1" in text
    assert "b.csv (candidate): no column prediction" in text
    assert "secret" not in text


def test_a_missing_or_foreign_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No file at"):
        read_predictions(tmp_path / "none.csv")
    with pytest.raises(UsageError, match=r"wanted \.csv or \.jsonl"):
        read_predictions(write(tmp_path, "x.pkl", b"\x80"))
    with pytest.raises(UsageError, match="Cannot read"):
        (tmp_path / "folder.csv").mkdir()
        read_predictions(tmp_path / "folder.csv")


def test_columns_are_arrays(tmp_path: Path) -> None:
    file = read_predictions(write(tmp_path, "a.csv", GOOD))
    assert file.columns["target"].codes.dtype == np.int64 and file.faults == ()
