from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from ftcore.data.reading import read_jsonl
from ftcore.records import DatasetVersion, PreparedDataset
from ftcore.spec import FineTuneSpec
from ftcore.stages import prepare
from ftcore.store import Store


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Enough of a base model to count tokens with; its weights are never loaded here."""
    folder = tmp_path / "base"
    folder.mkdir()
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"\0" * 8)
    return folder


def run(tmp_path: Path, base: Path, members: list[dict[str, Any]], key: str = "p") -> tuple[PreparedDataset, Path]:
    store = Store(tmp_path / "home")
    folder = store.root / "stages" / "ingest" / "k" / "files"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in members))
    spec = FineTuneSpec.model_validate(
        {"name": "demo", "base_model": {"name": str(base)}, "data": {"repo": None, "files": {"any": "*.jsonl"}}}
    )
    dataset = DatasetVersion(
        repo=None, rev="r", path="p", uri="stages/ingest/k", manifest_digest="d", num_files=1, num_bytes=1
    )
    with store.writing("prepare", key) as output:
        record = prepare.run(spec, {"ingest": dataset}, output, store)
        store.commit(output, record, {})
    return record, store.resolve(record.uri)


def members(count: int) -> list[dict[str, Any]]:
    return [
        {"id": f"r{n}", "text": f"  number {n} ", "label": "ba"[n % 2], "group": f"c{n // 3}"} for n in range(count)
    ]


def test_files_and_record_agree(tmp_path: Path, base: Path) -> None:
    record, folder = run(tmp_path, base, [*members(300), {"id": "empty", "text": "", "label": "a", "group": "c1"}])
    assert not record.refused
    assert json.loads((folder / "labels.json").read_text()) == ["a", "b"] == list(record.labels)
    splits = {split: read_jsonl(folder / f"{split}.jsonl") for split in ("train", "validation", "test")}
    assert {split: len(rows) for split, rows in splits.items()} == record.num_rows
    assert sum(record.num_rows.values()) == 300
    assert all(row["text"] == row["text"].strip() for rows in splits.values() for row in rows)
    groups = [{row["group"] for row in rows} for rows in splits.values()]
    assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]
    assert read_jsonl(folder / "quarantine.jsonl")[0]["reason"] == "empty_text"
    assert record.num_quarantined == {"empty_text": 1}
    assert record.num_tokens == {"median": 2.0, "p95": 2.0, "max": 2.0, "truncated_fraction": 0.0}


def test_same_rows_same_digest_and_a_touched_row_another(tmp_path: Path, base: Path) -> None:
    first, _ = run(tmp_path, base, members(200), "a")
    again, _ = run(tmp_path, base, members(200), "b")
    assert first.digest == again.digest
    changed = members(200)
    changed[0]["text"] = "touched"
    assert run(tmp_path, base, changed, "c")[0].digest != first.digest


def test_rows_added_for_old_groups_leave_the_old_holdout_whole(tmp_path: Path, base: Path) -> None:
    _, before = run(tmp_path, base, members(200), "a")
    _, after = run(tmp_path, base, members(300), "b")
    old = {row["id"] for row in read_jsonl(before / "test.jsonl")}
    assert old <= {row["id"] for row in read_jsonl(after / "test.jsonl")}


def test_too_much_set_aside_refuses(tmp_path: Path, base: Path) -> None:
    bad = [{"id": f"e{n}", "text": " ", "label": "a", "group": "x"} for n in range(30)]
    record, folder = run(tmp_path, base, [*members(200), *bad])
    assert "30 of 230 rows (13.04%) were set aside (empty_text 30)" in record.refused[0]
    assert len(read_jsonl(folder / "quarantine.jsonl")) == 30
