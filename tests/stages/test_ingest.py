from __future__ import annotations

from pathlib import Path

import pytest

from ftcore.errors import DataMissing
from ftcore.records import DataRef, DatasetVersion
from ftcore.spec import FineTuneSpec
from ftcore.stages import ingest
from ftcore.store import Manifest, Store

SPEC = FineTuneSpec.model_validate({"name": "demo", "base_model": {"name": "pkg:x/y"}, "data": {"repo": None}})


def run(store: Store, folder: Path) -> DatasetVersion:
    with store.writing("ingest", "key") as output:
        record = ingest.run(SPEC, {"data": DataRef(repo=None, rev="HEAD", path=str(folder))}, output, store)
        store.commit(output, record, {})
    return record


def test_what_arrives_is_in_the_record(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "a.jsonl").write_text("{}\n")
    store = Store(tmp_path / "home")
    record = run(store, folder)
    files = store.resolve(record.uri) / "files"
    assert (files / "a.jsonl").read_text() == "{}\n"
    assert record.digest == record.rev == Manifest.of(files).digest
    assert (record.num_files, record.num_bytes) == (1, 3)
    (folder / "a.jsonl").write_text("changed\n")  # the version in the store is ours now
    assert store.find("ingest", "key") == record


def test_a_missing_folder_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "home")
    with pytest.raises(DataMissing) as missing:
        run(store, tmp_path / "nowhere")
    assert missing.value.exit_code == 2
    assert not (store.root / "stages").exists()
    assert not list((store.root / "tmp").iterdir())
