from __future__ import annotations

import json
import resource
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ftcore.data.formats import Limits
from ftcore.data.reading import read_file, read_jsonl, read_splits, write_jsonl
from ftcore.errors import DataRefused, DataUnavailable, IntegrityError, UsageError
from ftcore.spec import ColumnsSpec, DataSpec

COLUMNS = ColumnsSpec()


def line(number: int, **more: object) -> str:
    return json.dumps({"id": f"r{number}", "text": f"text {number}", "label": "a"} | more)


def refused(folder: Path, name: str, content: bytes, limits: Limits = Limits()) -> str:
    (folder / name).write_bytes(content)
    with pytest.raises(DataRefused) as caught:
        read_splits(folder, DataSpec(files={"any": name}), limits)
    return str(caught.value)


def all_rows(folder: Path, data: DataSpec) -> list[dict]:
    return [row for rows in read_splits(folder, data).values() for row in rows]


def test_the_three_formats_give_the_same_rows(tmp_path: Path) -> None:
    values = [{"id": str(n), "text": f'say "{n}",\nthen stop', "label": "NA", "group": "007"} for n in range(40)]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in values))
    (tmp_path / "a.csv").write_text(
        "\ufeffid,text,label,group\n" + "".join(f'{n},"say ""{n}"",\nthen stop",NA,007\n' for n in range(40))
    )
    pq.write_table(pa.Table.from_pylist(values), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.csv", "a.parquet"):
        rows, faults = read_file(tmp_path / name, COLUMNS)
        assert faults.report() == []
        assert rows == values


def test_columns_are_mapped_and_ids_made_from_positions(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("question,intent\nhow?,x\nwhy?,\n")
    columns = ColumnsSpec(text="question", label="intent")
    rows, _ = read_file(tmp_path / "q.csv", columns)
    assert rows == [
        {"id": "q.csv:0", "text": "how?", "label": "x"},
        {"id": "q.csv:1", "text": "why?", "label": None},
    ]


def test_values_keep_their_meaning(tmp_path: Path) -> None:
    text = "\n".join([line(1, label=3), line(2, label=True), line(3, label=3.0), line(4, text="\ud800 x", group=None)])
    (tmp_path / "a.jsonl").write_text(text)
    rows, faults = read_file(tmp_path / "a.jsonl", COLUMNS)
    assert [row["label"] for row in rows] == ["3", "true", "3", "a"]
    assert rows[3]["text"] == "\ufffd x"
    assert "group" not in rows[3]
    assert not faults.count


def test_every_fault_is_reported_at_once_without_row_text(tmp_path: Path) -> None:
    lines = [line(1), "{broken secret", "[1]", line(2, text=["secret"]), line(3, label=0.5), '"secret"']
    content = "\n".join(lines).encode() + b"\nsecret \xff\n" + b"secret \x00\n" + line(9).encode()
    (tmp_path / "other.csv").write_text("id,text,label\n1,a\n2,b,c\n3,d,e,f\n")
    (tmp_path / "bad.jsonl").write_bytes(content)
    with pytest.raises(DataRefused) as caught:
        read_splits(tmp_path, DataSpec(files={"any": ["bad.jsonl", "other.csv"]}))
    message = str(caught.value)
    for seen in ("bad.jsonl line 2: saw invalid JSON", "line 3: saw a JSON list", "line 4: saw a list in column 'text'",
                 "line 5: saw a float in column 'label'", "line 6: saw a JSON str", "line 7: saw the byte 0xff",
                 "line 8: saw a NUL byte", "other.csv line 2: saw 2 fields, wanted 3",
                 "other.csv line 4: saw 4 fields"):  # fmt: skip
        assert seen in message
    assert "9 faults" in message
    assert "secret" not in message


def test_a_missing_column_names_what_is_there_and_the_setting(tmp_path: Path) -> None:
    message = refused(tmp_path, "a.csv", b"id,utterance,intent\n1,hi,x\n")
    assert "no column for text: saw the columns 'id', 'utterance', 'intent'" in message
    assert "data.columns.text" in message
    assert "data.columns.label" in message


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("a.csv", b"id,text,text\n1,a,b\n", "'text' twice"),
        ("a.csv", b'id,text,label\n1,"open,a\n2,b,c\n', "opened in line 2 that is not closed"),
        ("a.jsonl", ("[" * 100_000 + "]" * 100_000).encode(), "nested deeper than 32"),
        ("a.jsonl", ('{"text": ' + "9" * 6000 + "}").encode(), "number too long"),
        ("a.jsonl", json.dumps({str(n): n for n in range(999)}).encode(), "999 columns"),
        ("a.parquet", b"PAR1 not really", "cannot be read as Parquet"),
        ("a.pkl", b"\x80\x04", "wanted one of .csv"),
        ("a.jsonl", line(1).encode("utf-16"), "UTF-8"),
    ],
)
def test_hostile_files(tmp_path: Path, name: str, content: bytes, wanted: str) -> None:
    assert wanted in refused(tmp_path, name, content)


def test_many_faults_are_counted_not_listed(tmp_path: Path) -> None:
    message = refused(tmp_path, "a.jsonl", b"nope\n" * 5000)
    assert "and 4980 more faults" in message
    assert len(message) < 4000


def test_a_gigabyte_in_one_line_costs_little(tmp_path: Path) -> None:
    path = tmp_path / "big.jsonl"
    with path.open("wb") as file:
        file.write(b'{"text": "')
        file.seek(1 << 30)  # sparse: the reader sees a gigabyte of zeros
        file.write(b'"}\n')
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    rows, faults = read_file(path, COLUMNS)
    assert time.monotonic() - started < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
    assert rows == []
    assert "line 1: saw a line over 1,048,576 bytes" in faults.report()[0]


def test_a_parquet_bomb_is_refused(tmp_path: Path) -> None:
    table = pa.table({"text": ["x" * 500_000] * 2_000, "label": ["a"] * 2_000})  # one dictionary entry: tiny on disk
    pq.write_table(table, tmp_path / "bomb.parquet", compression="zstd")
    assert (tmp_path / "bomb.parquet").stat().st_size < 1 << 20
    _, faults = read_file(tmp_path / "bomb.parquet", COLUMNS)
    assert "bytes unpacked" in faults.report()[0]


def test_limits_on_rows_and_bytes(tmp_path: Path) -> None:
    content = "\n".join(line(n) for n in range(30)).encode()
    assert "more than 20 rows" in refused(tmp_path, "a.jsonl", content, Limits(rows=20))
    assert "wanted at most 100; split the file" in refused(tmp_path, "a.jsonl", content, Limits(file_bytes=100))
    (tmp_path / "b.jsonl").write_bytes(content)
    with pytest.raises(DataRefused, match="more than 40 rows"):  # together, not each
        read_splits(tmp_path, DataSpec(files={"any": ["a.jsonl", "b.jsonl"]}), Limits(rows=40))


def test_files_are_found(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.jsonl", "a.jsonl", "sub/c.jsonl"):
        (tmp_path / name).write_text(line(1, id=name))
    spec = DataSpec(files={"any": ["*.jsonl", "feedback-*.jsonl"]}, validation_fraction=0, test_fraction=0)
    assert [row["id"] for row in all_rows(tmp_path, spec)] == ["a.jsonl", "b.jsonl"]
    assert [row["id"] for row in all_rows(tmp_path, DataSpec(files={"any": "sub/*.jsonl"}))] == ["sub/c.jsonl"]
    with pytest.raises(DataUnavailable, match=r"'nope.jsonl' .*holds: 'a.jsonl', 'b.jsonl', 'sub/c.jsonl'"):
        read_splits(tmp_path, DataSpec(files={"any": ["*.jsonl", "nope.jsonl"]}))
    with pytest.raises(DataUnavailable, match="data.files.test"):
        read_splits(tmp_path, DataSpec(files={"train": "a.jsonl", "test": "x-*.jsonl"}))
    with pytest.raises(UsageError, match="one split per file"):
        read_splits(tmp_path, DataSpec(files={"train": "*.jsonl", "test": "a.jsonl"}))
    with pytest.raises(UsageError, match="leaves the data folder"):
        read_splits(tmp_path, DataSpec(files={"any": "../*.jsonl"}))


def test_zero_rows_are_read_as_zero_rows(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n\n")
    assert all_rows(tmp_path, DataSpec(files={"any": "a.jsonl"})) == []


def test_jsonl_round_trip(tmp_path: Path) -> None:
    rows = [{"id": "1", "text": "é\u2028x", "label": "a"}]
    write_jsonl(tmp_path / "x.jsonl", rows)
    assert read_jsonl(tmp_path / "x.jsonl") == rows
    (tmp_path / "x.jsonl").write_text("{")
    with pytest.raises(IntegrityError):
        read_jsonl(tmp_path / "x.jsonl")
