from __future__ import annotations

import csv
import gzip
import json
import random
import resource
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ftcore.data.faults import Limits, RowFault, spoken_id
from ftcore.data.reading import (
    ALL_FORMATS,
    GENERATION_FORMATS,
    formats_of,
    read_file,
    read_jsonl,
    read_splits,
    write_jsonl,
)
from ftcore.errors import DataMissing, DataRefused, IntegrityError, UsageError
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


def test_ids_made_from_places_count_malformed_rows_whoever_leaves_them_out(tmp_path: Path) -> None:
    rows = ['{"text": "a", "label": "x"}', '{"text": "b", "text": "b", "label": "x"}', '{"text": ["c"], "label": "x"}']
    (tmp_path / "a.jsonl").write_text("\n".join([*rows, "", *[rows[0]] * 30, rows[1], rows[0]]))
    found, faults = read_file(tmp_path / "a.jsonl", COLUMNS)
    assert [row["id"] for row in found] == ["a.jsonl:0", *(f"a.jsonl:{n}" for n in range(3, 33)), "a.jsonl:34"]
    assert [fault.id for fault in faults.rows] == ["a.jsonl line 2", "a.jsonl:2", "a.jsonl line 35"]


def test_a_place_is_told_as_one() -> None:
    assert spoken_id("data/train.csv.gz:70") == "row 70 of data/train.csv.gz"
    assert spoken_id("ticket:70") == "ticket:70"


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
    with pytest.raises(DataMissing, match=r"'nope.jsonl' .*holds: 'a.jsonl', 'b.jsonl', 'sub/c.jsonl'"):
        read_splits(tmp_path, DataSpec(files={"any": ["*.jsonl", "nope.jsonl"]}))
    with pytest.raises(DataMissing, match="data.files.test"):
        read_splits(tmp_path, DataSpec(files={"train": "a.jsonl", "test": "x-*.jsonl"}))
    with pytest.raises(UsageError, match="one split per file"):
        read_splits(tmp_path, DataSpec(files={"train": "*.jsonl", "test": "a.jsonl"}))
    with pytest.raises(UsageError, match="leaves the data folder"):
        read_splits(tmp_path, DataSpec(files={"any": "../*.jsonl"}))


def test_what_is_no_column_name_is_not_shown(tmp_path: Path) -> None:
    message = refused(tmp_path, "a.csv", b"1,my secret is that I like this bank,card\n2,b,c\n")
    assert "saw the columns '1', a text of 34 characters, 'card'" in message
    assert "secret" not in refused(tmp_path, "b.csv", (line(1, text="secret") + "\n").encode())


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


TALK = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]
GENERATION = {
    "messages": {"messages": TALK},
    "prompt_completion": {"prompt": "hi", "completion": "yo"},
    "alpaca": {"instruction": "hi", "input": "", "output": "yo"},
    "sharegpt": {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "yo"}]},
    "turns": {"text": "### Human: hi\n### Assistant: yo"},
}


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("format", GENERATION_FORMATS)
def test_every_format_from_every_file(tmp_path: Path, format: str, kind: str) -> None:
    row = {"id": "a", **GENERATION[format], "group": "g"}
    path = tmp_path / f"a.{kind}"
    if kind == "jsonl":
        path.write_text(json.dumps(row))
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist([row]), path)
    else:
        cells = [value if isinstance(value, str) else json.dumps(value) for value in row.values()]
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([list(row), cells])
    rows, faults = read_file(path, COLUMNS, formats=ALL_FORMATS)
    assert (faults.report(), faults.format) == ([], format)
    assert rows == [{"id": "a", "group": "g", "text": "hi", "completion": "yo", "messages": TALK}]


def test_plain_text_conversations(tmp_path: Path) -> None:
    blocks = [
        "### Human: one\n\nmore\n\n### Assistant: 1",
        "### System: s\n### Human: two\n### Assistant: 2\n",
        "### Human: three",
    ]
    (tmp_path / "a.txt").write_text("\n\n".join(blocks) + "\n")
    rows, faults = read_file(tmp_path / "a.txt", COLUMNS, formats=GENERATION_FORMATS)
    assert [(row["text"], row["completion"]) for row in rows] == [("one\n\nmore", "1"), ("s\ntwo", "2")]
    assert faults.report() == ["a.txt line 12: saw a user turn last, wanted an assistant turn: the answer to learn"]


def test_ambiguous_and_unknown_columns_name_the_choices(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"messages": TALK, "prompt": "a", "completion": "b"}))
    (tmp_path / "b.jsonl").write_text(json.dumps({"question": "a", "answer": "b"}))
    for name, seen in (
        ("a", "fit messages and prompt_completion; set data.format"),
        ("b", "alpaca: 'instruction', 'output'"),
    ):
        with pytest.raises(DataRefused, match=seen):
            read_splits(tmp_path, DataSpec(files={"any": f"{name}.jsonl"}), task="instruction")
    spec = DataSpec(files={"any": "a.jsonl"}, format="prompt_completion")
    assert sum(map(len, read_splits(tmp_path, spec, task="instruction").values())) == 1
    assert formats_of("classification") == ("classification",)


def test_malformed_rows_are_set_aside_or_refuse(tmp_path: Path) -> None:
    bad = {"id": "r7", "messages": [*TALK, {"role": "user", "content": "secret"}]}
    twice = '{"id": "x", "id": "y", "messages": []}'
    (tmp_path / "a.jsonl").write_text("\n".join([json.dumps({"messages": TALK}), json.dumps(bad), twice]))
    data = DataSpec(files={"any": "a.jsonl"})
    with pytest.raises(DataRefused, match="2 faults") as caught:
        read_splits(tmp_path, data, task="instruction")
    assert "secret" not in str(caught.value)
    found: list[RowFault] = []
    assert sum(map(len, read_splits(tmp_path, data, task="instruction", set_aside=found).values())) == 1
    assert [(row.id, row.line, row.reason) for row in found] == [
        ("a.jsonl line 3", 3, "repeated_key"), ("r7", 2, "malformed_conversation"),
    ]  # fmt: skip


def test_values_that_programs_write_for_nothing(tmp_path: Path) -> None:
    lines = [
        line(1, text="nan", label="NULL"),
        line(2, label="NA", group="nan"),
        '{"id": "3", "text": NaN, "label": NaN}',
    ]
    (tmp_path / "a.jsonl").write_text("\n".join([*lines, line(4, text="none of that")]))
    rows, faults = read_file(tmp_path / "a.jsonl", COLUMNS)
    assert not faults.count
    assert [(row["text"], row["label"]) for row in rows] == [
        (None, None),
        ("text 2", "NA"),
        (None, None),
        ("none of that", "a"),
    ]
    assert "group" not in rows[1]
    (tmp_path / "a.jsonl").write_text('{"text": "a", "label": Infinity}\n{"text": "b", "label": 1e300}\n')
    assert [row.reason for row in read_file(tmp_path / "a.jsonl", COLUMNS)[1].rows] == ["bad_value", "bad_value"]


def test_a_header_in_the_middle(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text,label\n1,a,x\nid,text,label\n2,b,x\n")
    rows, faults = read_file(tmp_path / "a.csv", COLUMNS)
    assert [row["id"] for row in rows] == ["1", "2"]
    assert [(row.reason, row.line) for row in faults.rows] == [("repeated_header", 3)]
    assert "another order" in refused(tmp_path, "b.csv", b"id,text,label\n1,a,x\nlabel,text,id\nx,b,2\n")


def test_a_csv_cut_inside_its_last_value(tmp_path: Path) -> None:
    whole = "id,text,label\n1,a,lost\n2,b,late\n3,c,lost"
    for content in (whole, whole + "\n", whole[:-4] + '"late"'):
        (tmp_path / "a.csv").write_text(content)
        rows, faults = read_file(tmp_path / "a.csv", COLUMNS)
        assert (len(rows), faults.count) == (3, 0)
    assert "line 4: saw the file end inside a value of 'label'" in refused(tmp_path, "a.csv", whole[:-1].encode())


def test_swapped_columns(tmp_path: Path) -> None:
    swapped = [line(n, text=f"label_{n % 3}", label=f"a long message number {n}") for n in range(30)]
    assert "look swapped" in refused(tmp_path, "a.jsonl", "\n".join(swapped).encode())
    good = [line(n, text=f"a long message number {n}", label=f"label_{n % 3}") for n in range(30)]
    (tmp_path / "a.jsonl").write_text("\n".join([*good, swapped[0]]))
    rows, faults = read_file(tmp_path / "a.jsonl", COLUMNS)
    assert (len(rows), [row.reason for row in faults.rows]) == (30, ["swapped_columns"])
    assert faults.rows[0].line == 31


@pytest.mark.parametrize(
    ("encoding", "seen"),
    [
        ("cp1252", "CP1252"), ("utf-16", "UTF-16"), ("utf-16-le", "UTF-16LE"), ("utf-16-be", "UTF-16BE"),
        ("utf-32", "UTF-32"), ("cp1251", "CP1251"), ("shift_jis", "SHIFT_JIS"),
    ],
)  # fmt: skip
def test_wrong_encodings_are_named(tmp_path: Path, encoding: str, seen: str) -> None:
    text = {"cp1251": "Где моя карта?", "shift_jis": "カードがまだ届きません。"}.get(
        encoding, "Wo ist die Überweisung für März?"
    )
    content = "\n".join(json.dumps({"text": text, "label": "a"}, ensure_ascii=False) for _ in range(5))
    assert f"looks like {seen}" in refused(tmp_path, "a.jsonl", content.encode(encoding))


def test_gzip_is_read_and_broken_gzip_refused(tmp_path: Path) -> None:
    content = "\n".join(line(n) for n in range(50)).encode()
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(content))
    (tmp_path / "a.jsonl").write_bytes(content)
    rows = read_file(tmp_path / "a.jsonl.gz", COLUMNS, name="a")[0]
    assert rows == read_file(tmp_path / "a.jsonl", COLUMNS, name="a")[0]
    packed = gzip.compress(content)
    assert "whole gzip file" in refused(tmp_path, "b.jsonl.gz", packed[:-20])
    assert "whole gzip file" in refused(tmp_path, "b.jsonl.gz", content)
    assert "wanted one of" in refused(tmp_path, "b.parquet.gz", packed)


@pytest.mark.parametrize("prefix", [0, 200])
def test_a_gzip_bomb_of_ten_gigabytes_costs_little(tmp_path: Path, prefix: int) -> None:
    member = gzip.compress((line(1) + "\n").encode() * 1_000_000)
    noise = "".join(line(n, text=random.Random(n).randbytes(2000).hex()) + "\n" for n in range(prefix))
    with (tmp_path / "bomb.jsonl.gz").open("wb") as file:
        file.write(gzip.compress(noise.encode()))
        for _ in range(220):
            file.write(member)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    rows, faults = read_file(tmp_path / "bomb.jsonl.gz", COLUMNS)
    assert time.monotonic() - started < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
    assert prefix or "saw 33,554,432 bytes unpacked" in faults.report()[0]  # the first window is enough
    assert rows == [] and "and more to come, wanted at most 100 per byte" in faults.report()[0]


@pytest.mark.parametrize(
    ("name", "content", "seen"),
    [
        ("a.jsonl", b"\n" * 20_000, "blank lines in a row"),
        ("a.jsonl", (line(1) + "\r" + line(2)).encode(), "CR alone"),
        ("a.csv", b"id,text,label\r1,a,b\r2,c,d\r", "saw a CR inside a line"),
        ("a.jsonl", ("\ufeff" + line(1) + "\n\ufeff" + line(2)).encode(), "byte order mark inside"),
    ],
)
def test_odd_line_ends_and_marks(tmp_path: Path, name: str, content: bytes, seen: str) -> None:
    assert seen in refused(tmp_path, name, content)


@pytest.mark.parametrize("nested", [False, True])
def test_parquet_values_that_repeat_one_huge_text(tmp_path: Path, nested: bool) -> None:
    huge = "x" * (3 << 20)
    talk = [{"role": "user", "content": huge}, TALK[1]]
    rows = [{"messages": talk} if nested else {"text": huge, "label": "a"} for _ in range(3)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet", compression="zstd")
    formats = ("messages",) if nested else ("classification",)
    found, faults = read_file(tmp_path / "a.parquet", COLUMNS, formats=formats)
    assert found == [] and "saw a value of 3,145,728 bytes" in faults.report()[0]


def test_page_checksums_of_parquet_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"text": ["where is my card"], "label": ["a"]})
    pq.write_table(table, path, write_page_checksum=True, compression="none", use_dictionary=False)
    path.write_bytes(path.read_bytes().replace(b"where is my card", b"where is my care"))
    assert "cannot be read as Parquet" in read_file(path, COLUMNS)[1].report()[0]
