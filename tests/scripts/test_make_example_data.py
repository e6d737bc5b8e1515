"""The example data is what its maker says: the same bytes again, and the shape that the documentation promises."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from scripts.make_example_data.__main__ import main
from scripts.make_example_data.faults import KINDS
from scripts.make_example_data.grammar import normalise

COLUMNS = ["id", "text", "label", "group", "timestamp", "source"]


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def files(example_data: Path) -> dict[str, list[dict[str, Any]]]:
    return {path.stem: read(path) for path in example_data.glob("*.jsonl")}


def test_the_maker_writes_the_versioned_bytes(example_data: Path, tmp_path: Path) -> None:
    main(["--out", str(tmp_path)])
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in example_data.iterdir()}


def test_sizes_columns_and_intents(files: dict[str, list[dict[str, Any]]]) -> None:
    assert sorted(files) == ["dirty", "messages", "traffic", "wave2"]
    assert len(files["messages"]) >= 4000
    assert all(list(row) == COLUMNS for name in ("messages", "traffic", "wave2") for row in files[name])
    old, new = ({row["label"] for row in files[name]} for name in ("messages", "wave2"))
    assert {row["label"] for row in files["traffic"]} == old and len(old) >= 20
    assert len(new - old) >= 2
    assert min(Counter(row["label"] for row in files["messages"]).values()) >= 100


def test_no_message_comes_twice_and_no_customer_is_in_two_files(files: dict[str, list[dict[str, Any]]]) -> None:
    clean = {name: files[name] for name in ("messages", "traffic", "wave2")}
    texts = Counter(normalise(row["text"]) for rows in clean.values() for row in rows)
    assert texts.most_common(1)[0][1] == 1
    customers = [{row["group"] for row in rows} for rows in clean.values()]
    assert len(set.union(*customers)) == sum(len(part) for part in customers)


def test_every_fault_is_planted(files: dict[str, list[dict[str, Any]]]) -> None:
    planted = Counter(row["fault"] for row in files["dirty"])
    assert planted.pop("") >= 40
    assert planted == KINDS
