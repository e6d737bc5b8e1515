"""Good data files and seeded ways to spoil them: what is done is known, so that what comes of it can be judged.

Four good files (classification as CSV, JSONL and Parquet; conversations as JSONL), and about forty mutations of bytes, of values
or of the file as a whole. `mutations(n)` deals them out evenly.
"""

from __future__ import annotations

import copy
import csv
import gzip
import io
import itertools
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Row = dict[str, Any]
KINDS = ("csv", "jsonl", "parquet", "messages")
TEXT_KINDS = ("csv", "jsonl", "messages")
LABELS = ("lost_card", "late_refund", "wrong_charge")
_THINGS = ("Überweisung", "café voucher", "façade pass", "naïve transfer", "Größe L", "crème card")
PAYLOAD = "<script>alert(1)</script>"


@dataclass(frozen=True)
class Mutation:
    """One spoiled file: `spoil` turns the good rows into a file and returns its path."""

    name: str
    kind: str
    number: int
    spoil: Callable[[random.Random, list[Row], Path], Path]
    at_rest: bool
    """Damage that a disk or a network does to a finished file: where no reader can see it, the manifest must."""
    kept_as_text: bool
    """The mutation writes legal text that must come out as it went in, and be escaped in any page."""

    def apply(self, folder: Path) -> Path:
        rng = random.Random(f"{self.name} {self.kind} {self.number}")
        return self.spoil(rng, good_rows(self.kind, 70, "t"), folder / f"train.{suffix(self.kind)}")

    def __str__(self) -> str:
        return f"{self.name}-{self.kind}-{self.number}"


def suffix(kind: str) -> str:
    return "jsonl" if kind == "messages" else kind


def good_rows(kind: str, count: int, prefix: str) -> list[Row]:
    """Rows that are accepted as they are; equal for equal arguments."""
    rows: list[Row] = []
    for n in range(count):
        text = f"Order {prefix}{n * 37}: where is my {_THINGS[n % len(_THINGS)]}?"
        row: Row = {"id": f"{prefix}{n:03}", "text": text, "label": LABELS[n % 3], "group": f"{prefix}g{n // 2}"}
        if kind == "messages":
            answer = f"Your {_THINGS[n % len(_THINGS)]} {n} is on its way."
            turns = [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
            row = {"id": row["id"], "messages": turns, "group": row["group"]}
        rows.append(row)
    return rows


def write(rows: list[Row], path: Path) -> Path:
    """The rows in the format that the path ends with."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, write_page_checksum=True)
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(rows[0])
            writer.writerows(row.values() for row in rows)
    else:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


_TABLE: list[tuple[str, tuple[str, ...], Callable[[random.Random, list[Row], Path], Path], bool, bool]] = []


def _file(*kinds: str, at_rest: bool = False) -> Callable[[Any], Any]:
    """Registers a mutation of the file as a whole: (rng, rows, path) -> path."""

    def register(function: Any) -> Any:
        _TABLE.append((function.__name__, kinds or KINDS, function, at_rest, False))
        return function

    return register


def _bytes(*kinds: str, at_rest: bool = False) -> Callable[[Any], Any]:
    """Registers a mutation of bytes: (rng, bytes) -> bytes."""

    def register(function: Any) -> Any:
        def spoil(rng: random.Random, rows: list[Row], path: Path) -> Path:
            path.write_bytes(function(rng, write(rows, path).read_bytes()))
            return path

        _TABLE.append((function.__name__, kinds or KINDS, spoil, at_rest, False))
        return function

    return register


def _rows(*kinds: str, kept_as_text: bool = False) -> Callable[[Any], Any]:
    """Registers a mutation of values: (rng, rows) changes rows in place."""

    def register(function: Any) -> Any:
        def spoil(rng: random.Random, rows: list[Row], path: Path) -> Path:
            function(rng, rows)
            return write(rows, path)

        _TABLE.append((function.__name__, kinds or KINDS, spoil, False, kept_as_text))
        return function

    return register


def mutations(count: int) -> list[Mutation]:
    """The first `count` of: every mutation of every kind of file, then all again with another seed, and so on."""
    dealt = (
        Mutation(name, kind, number, spoil, at_rest, kept)
        for number in itertools.count()
        for name, kinds, spoil, at_rest, kept in _TABLE
        for kind in kinds
    )
    return list(itertools.islice(dealt, count))


def _some(rng: random.Random, rows: list[Row], share: float) -> Iterator[Row]:
    yield from rng.sample(rows, max(1, round(len(rows) * share)))


def _set_text(row: Row, change: Callable[[Any], Any]) -> None:
    if "messages" in row:
        row["messages"][0]["content"] = change(row["messages"][0]["content"])
    else:
        row["text"] = change(row["text"])


# Damage at rest


@_bytes(at_rest=True)
def truncated(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(1, len(data))]


@_bytes(at_rest=True)
def last_bytes_cut(rng: random.Random, data: bytes) -> bytes:
    return data[: -rng.randrange(1, 12)]


@_bytes(at_rest=True)
def bit_flip(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


@_bytes(at_rest=True)
def bit_flips(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(100):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


@_bytes(at_rest=True)
def zeros_inside(rng: random.Random, data: bytes) -> bytes:
    start = rng.randrange(len(data) - 64)
    return data[:start] + bytes(64) + data[start + 64 :]


@_bytes(at_rest=True)
def block_lost(rng: random.Random, data: bytes) -> bytes:
    start = rng.randrange(len(data) - 512)
    return data[:start] + data[start + 512 :]


@_bytes()
def emptied(rng: random.Random, data: bytes) -> bytes:
    return b""


# Encodings, line ends, marks


@_bytes(*TEXT_KINDS)
def latin_1(rng: random.Random, data: bytes) -> bytes:
    return data.decode().encode("latin-1")


@_bytes(*TEXT_KINDS)
def utf_16(rng: random.Random, data: bytes) -> bytes:
    return data.decode().encode(rng.choice(["utf-16", "utf-16-le", "utf-16-be"]))


@_bytes(*TEXT_KINDS)
def one_line_in_cp1252(rng: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    number = rng.randrange(1, len(lines))
    lines[number] = lines[number].decode().encode("cp1252")
    return b"".join(lines)


@_bytes(*TEXT_KINDS)
def read_as_latin_1_and_saved_again(rng: random.Random, data: bytes) -> bytes:
    return data.decode("cp1252", "ignore").encode() if rng.random() < 0.5 else data.decode("latin-1").encode()


@_bytes(*TEXT_KINDS)
def mark_first(rng: random.Random, data: bytes) -> bytes:
    return b"\xef\xbb\xbf" + data


@_bytes(*TEXT_KINDS)
def joined_with_mark_inside(rng: random.Random, data: bytes) -> bytes:
    return data + b"\xef\xbb\xbf" + data


@_bytes(*TEXT_KINDS)
def crlf(rng: random.Random, data: bytes) -> bytes:
    return data.replace(b"\n", b"\r\n")


@_bytes(*TEXT_KINDS)
def cr_alone(rng: random.Random, data: bytes) -> bytes:
    return data.replace(b"\n", b"\r")


@_bytes(*TEXT_KINDS)
def nul_inside(rng: random.Random, data: bytes) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + b"\0" + data[place:]


# Broken framing


@_bytes("csv")
def header_again(rng: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    lines.insert(rng.randrange(2, len(lines)), lines[0])
    return b"".join(lines)


@_bytes("csv")
def joined_with_other_column_order(rng: random.Random, data: bytes) -> bytes:
    rows = list(csv.reader(io.StringIO(data.decode())))
    order = [2, 1, 0, 3]
    target = io.StringIO()
    csv.writer(target, lineterminator="\n").writerows([row[i] for i in order] for row in rows)
    return data + target.getvalue().encode()


@_bytes("csv")
def quote_unbalanced(rng: random.Random, data: bytes) -> bytes:
    places = [place for place in range(len(data)) if data[place : place + 1] == b","]
    place = rng.choice(places) + 1
    return data[:place] + b'"' + data[place:]


@_bytes("csv")
def delimiter_lost(rng: random.Random, data: bytes) -> bytes:
    places = [place for place in range(40, len(data)) if data[place : place + 1] == b","]
    place = rng.choice(places)
    return data[:place] + data[place + 1 :]


@_bytes("csv")
def delimiters_of_another_program(rng: random.Random, data: bytes) -> bytes:
    return data.replace(b",", rng.choice([b";", b"\t", b"|"]))


@_bytes("jsonl", "messages")
def nested_100_000_deep(rng: random.Random, data: bytes) -> bytes:
    bracket = rng.choice([(b"[", b"]"), (b'{"a":', b"}")])
    return data + b'{"id": "x", "text": ' + bracket[0] * 100_000 + b"1" + bracket[1] * 100_000 + b"}\n"


@_bytes("jsonl", "messages")
def number_of_6000_digits(rng: random.Random, data: bytes) -> bytes:
    return data + b'{"id": ' + b"9" * 6000 + b', "text": "a", "label": "lost_card"}\n'


@_bytes("jsonl", "messages")
def key_twice(rng: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    number = rng.randrange(len(lines))
    lines[number] = lines[number].replace(b'{"id": ', b'{"id": "other", "id": ')
    return b"".join(lines)


@_bytes("jsonl", "messages")
def line_is_no_object(rng: random.Random, data: bytes) -> bytes:
    return data + rng.choice([b"[1, 2]\n", b'"text"\n', b"null\n", b"id,text,label\n", b"{}{}\n", b"{'id': 'x'}\n"])


@_bytes(*TEXT_KINDS)
def blank_lines_without_end(rng: random.Random, data: bytes) -> bytes:
    return data + b"\n" * 3_000_000


@_bytes("csv", "jsonl")
def hundred_thousand_columns(rng: random.Random, data: bytes) -> bytes:
    if data.startswith(b"{"):
        return data + json.dumps({f"c{n}": n for n in range(60_000)}).encode() + b"\n"
    return b",".join(b"c%d" % n for n in range(100_000)) + b"\n" + data


@_file("parquet")
def ten_thousand_parquet_columns(rng: random.Random, rows: list[Row], path: Path) -> Path:
    pq.write_table(pa.table({f"c{n}": ["x"] for n in range(10_000)}), path)
    return path


@_file()
def line_of_a_gigabyte(rng: random.Random, rows: list[Row], path: Path) -> Path:
    with write(rows, path).open("r+b") as file:
        file.seek(0, 2)
        file.write(b'{"id": "x", "text": "')
        file.truncate(1 << 30)  # sparse: zeros without a line end that cost no disk
    return path


@_file(*TEXT_KINDS)
def gzip_bomb(rng: random.Random, rows: list[Row], path: Path) -> Path:
    """Ten gigabytes in ten megabytes: the same 64 MiB, packed, over and over."""
    good = write(rows, path).read_bytes()
    path.unlink()
    packed = path.with_name(f"{path.name}.gz")
    filler = rng.choice([b"x", b"\n", good.splitlines(keepends=True)[-1]])
    block = filler * ((1 << 20) // len(filler))
    member = gzip.compress(block * 64, mtime=0)
    with packed.open("wb") as file:
        file.write(gzip.compress(good, mtime=0))
        for _ in range(160):
            file.write(member)
    return packed


@_file(*TEXT_KINDS)
def gzip_cut(rng: random.Random, rows: list[Row], path: Path) -> Path:
    packed = path.with_name(f"{path.name}.gz")
    data = gzip.compress(write(rows, path).read_bytes(), mtime=0)
    path.unlink()
    packed.write_bytes(data[: rng.randrange(20, len(data) - 1)])
    return packed


@_file(*TEXT_KINDS)
def gzip_bit_flip(rng: random.Random, rows: list[Row], path: Path) -> Path:
    packed = path.with_name(f"{path.name}.gz")
    data = bytearray(gzip.compress(write(rows, path).read_bytes(), mtime=0))
    path.unlink()
    data[rng.randrange(10, len(data))] ^= 1 << rng.randrange(8)
    packed.write_bytes(bytes(data))
    return packed


@_file("parquet")
def parquet_bomb(rng: random.Random, rows: list[Row], path: Path) -> Path:
    value = "x" * rng.choice([700_000, 900_000, 20_000_000])
    table = pa.table({"text": pa.array([value]).take(pa.array([0] * 100)), "label": ["a"] * 100})
    pq.write_table(table, path, compression=rng.choice(["zstd", "gzip", "snappy"]), use_dictionary=rng.random() < 0.7)
    return path


@_file("csv", "jsonl", "parquet")
def wrong_ending(rng: random.Random, rows: list[Row], path: Path) -> Path:
    ending = rng.choice([end for end in (".csv", ".jsonl", ".parquet", ".jsonl.gz") if end != path.suffix])
    return write(rows, path).rename(path.with_name(f"train{ending}"))


# Values


@_rows("csv", "jsonl", "parquet")
def columns_swapped(rng: random.Random, rows: list[Row]) -> None:
    for row in rows:
        row["text"], row["label"] = row["label"], row["text"]


@_rows("csv", "jsonl", "parquet")
def columns_swapped_in_some_rows(rng: random.Random, rows: list[Row]) -> None:
    for row in _some(rng, rows, rng.choice([0.02, 0.1])):
        row["text"], row["label"] = row["label"], row["text"]


@_rows()
def column_renamed(rng: random.Random, rows: list[Row]) -> None:
    column = "messages" if "messages" in rows[0] else rng.choice(["text", "label"])
    for row in rows:
        row[f"{column}_old"] = row.pop(column)


@_rows("csv", "jsonl", "parquet")
def nan_storm_in_texts(rng: random.Random, rows: list[Row]) -> None:
    value = rng.choice(["nan", "NaN", "NULL", "", "   ", None])
    for row in _some(rng, rows, rng.choice([0.02, 0.3])):
        row["text"] = value


@_rows("csv", "jsonl", "parquet")
def nan_storm_in_labels(rng: random.Random, rows: list[Row]) -> None:
    value = rng.choice(["nan", "NaN", "NULL", "", None])
    for row in _some(rng, rows, rng.choice([0.02, 0.3])):
        row["label"] = value


@_rows("jsonl")
def nan_literals(rng: random.Random, rows: list[Row]) -> None:
    value = float(rng.choice(["nan", "inf", "-inf"]))
    for row in _some(rng, rows, 0.3):
        row[rng.choice(["text", "label"])] = value


@_rows("jsonl", "messages")
def wrong_types(rng: random.Random, rows: list[Row]) -> None:
    value = rng.choice([{"a": 1}, ["x"], 0.5, [["x"]]])
    for row in _some(rng, rows, 0.05):
        row["messages" if "messages" in row else rng.choice(["text", "label"])] = value


@_rows()
def texts_lost_to_replacement_marks(rng: random.Random, rows: list[Row]) -> None:
    for row in _some(rng, rows, 0.1):
        _set_text(row, lambda text: text.encode("ascii", "replace").decode().replace("?", "\ufffd"))


@_rows()
def rows_repeated(rng: random.Random, rows: list[Row]) -> None:
    rows += [copy.deepcopy(row) for row in _some(rng, rows, 0.5)]


@_rows()
def rows_repeated_under_new_ids(rng: random.Random, rows: list[Row]) -> None:
    rows += [{**copy.deepcopy(row), "id": f"new{n}"} for n, row in enumerate(_some(rng, rows, 0.5))]


@_rows(kept_as_text=True)
def formulas(rng: random.Random, rows: list[Row]) -> None:
    start = rng.choice(["=cmd|' /C calc'!A0 ", "+1+1 ", "-2+3 ", "@SUM(1) ", "=HYPERLINK(x) "])
    for row in _some(rng, rows, 0.5):
        _set_text(row, lambda text: start + text)


@_rows(kept_as_text=True)
def scripts_in_texts(rng: random.Random, rows: list[Row]) -> None:
    for row in rows:
        _set_text(row, lambda text: f"{text} {PAYLOAD}")


@_rows("csv", "jsonl", "parquet")
def scripts_in_every_field(rng: random.Random, rows: list[Row]) -> None:
    for row in rows:
        for key in row:
            row[key] = f"{row[key]}{PAYLOAD}"


@_rows("csv", "jsonl", "parquet")
def text_of_a_megabyte(rng: random.Random, rows: list[Row]) -> None:
    for row in _some(rng, rows, 0.02):
        row["text"] = row["text"] * 8000


# Conversations


def _turns(rng: random.Random, rows: list[Row]) -> list[Row]:
    return rng.choice(rows)["messages"]  # type: ignore[no-any-return]


@_rows("messages")
def roles_swapped(rng: random.Random, rows: list[Row]) -> None:
    turns = _turns(rng, rows)
    turns.reverse()


@_rows("messages")
def answer_missing(rng: random.Random, rows: list[Row]) -> None:
    _turns(rng, rows).pop()


@_rows("messages")
def turn_empty(rng: random.Random, rows: list[Row]) -> None:
    rng.choice(_turns(rng, rows))["content"] = rng.choice(["", "  ", None])


@_rows("messages")
def role_unknown(rng: random.Random, rows: list[Row]) -> None:
    rng.choice(_turns(rng, rows))["role"] = rng.choice(["bot", "", None, "User"])


@_rows("messages")
def tool_call_in_a_turn(rng: random.Random, rows: list[Row]) -> None:
    _turns(rng, rows)[-1]["tool_calls"] = [{"type": "function"}]
