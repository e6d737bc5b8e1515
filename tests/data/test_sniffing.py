from __future__ import annotations

import gzip
import json
import random
import shlex
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftcore.data.reading import read_file
from ftcore.data.sniffing import other_separator
from ftcore.spec import ColumnsSpec


def faults_of(path: Path) -> list[str]:
    rows, faults = read_file(path, ColumnsSpec())
    assert rows == []
    return faults.report()


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.txt", "a.csv.gz", "a"])
def test_a_file_that_is_no_text_gives_one_line(tmp_path: Path, name: str) -> None:
    noise = random.Random(0).randbytes(20_000)
    for content, seen in ((b"\x89PNG\r\n\x1a\n" + noise, "saw a PNG picture"), (b"\x07" + noise, "saw a binary file")):
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        (line,) = faults_of(path)
        assert line.startswith(f"{name}: {seen}, wanted")


def test_archives_are_named_by_what_they_should_be_called(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"] * 50, "label": ["b"] * 50}), tmp_path / "a.jsonl")
    (line,) = faults_of(tmp_path / "a.jsonl")
    assert line == "a.jsonl: saw a Parquet file, wanted text rows or Parquet; rename it to a.parquet"
    (tmp_path / "b.csv").write_bytes(gzip.compress(b"text,label\na,b\n"))
    assert "rename it to b.csv.gz" in faults_of(tmp_path / "b.csv")[0]


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("name", ["a b.json", "a.jsonl", "a.ndjson.gz"])
def test_a_json_array_is_named_with_what_makes_rows_of_it(tmp_path: Path, name: str, indent: int | None) -> None:
    text = json.dumps([{"text": f"t{number}", "label": "x"} for number in range(40_000)], indent=indent)
    path = tmp_path / name  # over a megabyte: as one line it would be too long
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    (line,) = faults_of(path)
    assert "saw one JSON array, wanted one object per line; " in line
    read, target = line.partition("per line; ")[2].rsplit(" > ", 1)
    assert "jq -c '.[]'" in read
    assert shlex.split(target)[0] != name
    assert shlex.split(target)[0].endswith(".jsonl")


def test_lists_as_rows_are_no_array(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('["x", "y"]\n["x", "y"]\n')
    assert "saw a JSON list, wanted one object per line" in faults_of(tmp_path / "a.jsonl")[0]


@pytest.mark.parametrize(
    ("name", "header", "seen"),
    [
        ("a.csv", "id;text;label", "saw semicolons between columns, wanted commas; python3 -c "),
        ("a.csv", '"id";"text";"label"', "saw semicolons between columns, wanted commas; python3 -c "),
        ("a.csv", "id|text|label", "saw bars between columns, wanted commas; python3 -c "),
        ("a.csv", "id\ttext\tlabel", "saw tabs between columns, wanted commas; rename the file to a.tsv"),
        ("a.tsv", "id,text,label", "saw commas between columns, wanted tabs; rename the file to a.csv"),
    ],
)
def test_another_separator_is_named(tmp_path: Path, name: str, header: str, seen: str) -> None:
    (tmp_path / name).write_text(f"{header}\n1;a,b;x\n2;c;y\n")
    (line,) = faults_of(tmp_path / name)
    assert line.startswith(f"{name} line 1: {seen}")


def test_the_command_in_the_message_makes_a_file_that_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text;label\n"one; two, three";x\nfour;y\n')
    (line,) = faults_of(tmp_path / "a.csv")
    command = line.partition("commas; ")[2]
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    rows, faults = read_file(tmp_path / "a-commas.csv", ColumnsSpec())
    assert not faults.count
    assert [(row["text"], row["label"]) for row in rows] == [("one; two, three", "x"), ("four", "y")]


@settings(max_examples=200)
@given(
    st.lists(st.text(st.characters(blacklist_characters=',\t\r\n"'), min_size=1, max_size=8), min_size=2, max_size=5)
)
def test_a_header_with_its_own_separator_is_never_suspected(names: list[str]) -> None:
    assert other_separator(",".join(names), ",", "a.csv") is None
    assert other_separator("\t".join(names), "\t", "a.tsv") is None
