"""Packages: complete, verified, and never half-written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ftcore.errors import IntegrityError, StorageError
from ftcore.ledger import open_ledger
from ftcore.records import Record
from ftcore.registry.package import build_package, read_lineage, verify_package
from ftcore.store import Store
from tests.registry.candidates import candidate, tiny_spec

SPEC = tiny_spec()


@pytest.fixture
def records() -> dict[str, Record]:
    with open_ledger() as ledger:
        return candidate(SPEC, Store(), ledger, 1)


def test_package_holds_everything_and_is_made_once(home: Path, records: dict[str, Record]) -> None:
    uri = build_package(SPEC, records, Store())
    folder = home / uri
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"model/model.safetensors", "reference/rows.jsonl", "reference/embeddings.npy", "spec.yaml"} <= names
    assert {"lineage.json", "verdict.json", "MANIFEST.json"} <= names
    lineage = read_lineage(folder)
    assert lineage["records"]["ingest"]["rev"] == "a" * 40
    assert lineage["environment"]["packages"]["sqlalchemy"]
    before = (folder / "MANIFEST.json").stat().st_mtime_ns
    assert build_package(SPEC, records, Store()) == uri
    assert (folder / "MANIFEST.json").stat().st_mtime_ns == before


def test_each_flipped_file_is_named(home: Path, records: dict[str, Record]) -> None:
    folder = home / build_package(SPEC, records, Store())
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path == folder / "MANIFEST.json":
            continue
        data = path.read_bytes()
        path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        with pytest.raises(IntegrityError) as caught:
            verify_package(folder)
        assert caught.value.details == (f"changed: {path.relative_to(folder).as_posix()}",)
        path.write_bytes(data)
    verify_package(folder)
    folder.rename(folder.with_name("0" * 64))
    with pytest.raises(IntegrityError, match="holds model"):
        verify_package(folder.with_name("0" * 64))


def test_damaged_training_output_is_not_packaged(home: Path, records: dict[str, Record]) -> None:
    weights = home / records["train"].uri / "model" / "model.safetensors"  # type: ignore[attr-defined]
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    with pytest.raises(IntegrityError, match="does not match its manifest"):
        build_package(SPEC, records, Store())
    assert not (home / "packages").exists()
    assert list((home / "tmp").iterdir()) == []


@pytest.mark.parametrize("call", ["copyfile", "fsync", "rename"])
def test_full_disk_leaves_nothing(
    home: Path, records: dict[str, Record], monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if call == "copyfile":
            patch.setattr("ftcore.store.copy_folder.__defaults__", (full,))
        else:
            patch.setattr(os, call, full)
        with pytest.raises(StorageError, match="disk is full"):
            build_package(SPEC, records, Store())
    assert not (home / "packages" / records["train"].digest).exists()
    assert list((home / "tmp").iterdir()) == []
    verify_package(home / build_package(SPEC, records, Store()))  # and with space again it works
