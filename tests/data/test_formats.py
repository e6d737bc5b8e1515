"""Properties of the readers: what is written is read, and no bytes make them crash."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftcore.data.faults import Faults, Limits
from ftcore.data.formats import kind_of, load_json, read_rows
from ftcore.data.reading import ALL_FORMATS, read_file
from ftcore.spec import ColumnsSpec

COLUMNS = ["id", "text", "label"]
NAMES = ("a.csv", "a.jsonl", "a.parquet", "a.txt", "a.jsonl.gz", "a.csv.gz")
# A byte order mark at the start of a line is taken for a joined file, a NUL for a binary one.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"), min_size=1, max_size=30)
ROWS = st.lists(st.fixed_dictionaries({"id": TEXT, "text": TEXT, "label": TEXT}), min_size=1, max_size=6)


def encode(rows: list[dict[str, str]], kind: str) -> bytes:
    if kind == "parquet":
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), sink)
        return sink.getvalue()
    if kind == "jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    target = io.StringIO()
    csv.writer(target).writerows([COLUMNS, *([row[name] for name in COLUMNS] for row in rows)])
    return target.getvalue().encode()


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@settings(max_examples=50)
@given(rows=ROWS)
def test_what_is_written_is_read(kind: str, rows: list[dict[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{kind}"
        path.write_bytes(encode(rows, kind))
        faults = Faults(path.name)
        read = [row for _, row in read_rows(path, ["id", "text", "label"], faults, Limits())]
    if not any(row == {"id": "id", "text": "text", "label": "label"} for row in rows):
        assert (read, faults.report()) == (rows, [])


def spoil(content: bytes, place: int, noise: bytes) -> bytes:
    place %= len(content)
    return content[:place] + noise + content[place + len(noise) :]


@settings(max_examples=100)
@given(
    name=st.sampled_from(NAMES),
    rows=ROWS,
    place=st.integers(0, 10_000),
    noise=st.binary(max_size=12),
    alone=st.booleans(),
)
def test_no_bytes_crash_a_reader(name: str, rows: list[dict[str, str]], place: int, noise: bytes, alone: bool) -> None:
    kind = str(kind_of(Path(name))).lstrip(".")
    content = encode(rows, "jsonl" if kind == "txt" else kind)
    packed = gzip.compress(content) if name.endswith(".gz") else content
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(noise if alone else spoil(packed, place, noise))
        found, faults = read_file(path, ColumnsSpec(), formats=ALL_FORMATS)
    assert all(isinstance(row["id"], str) for row in found)
    assert all(faults.report())


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ('{"a": 1, "a": 2}', "saw the key 'a' twice"),
        ('{"a": {"b": 1, "b": 1}}', "saw the key 'b' twice"),
        ("[" * 40 + "]" * 40, "nested deeper than 32"),
        ("9" * 5000, "number too long"),
        ("{", "invalid JSON"),
    ],
)
def test_json_that_readers_disagree_about(text: str, seen: str) -> None:
    with pytest.raises(ValueError, match=seen):
        load_json(text, 32)


def test_brackets_inside_strings_are_no_depth() -> None:
    assert load_json(json.dumps({"a": "[" * 99 + '\\"' + "{" * 99}), 32)["a"].startswith("[")
