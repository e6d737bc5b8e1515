from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import ftcore.store as store_module
from ftcore.errors import IntegrityError, StorageError
from ftcore.records import RetrainRequest
from ftcore.store import MANIFEST, Manifest, Store, make_folder, publish_folder, write_durable

RECORD = RetrainRequest(request_id="1", spec="s", reason="r", opened_at="now")


def publish(store: Store, key: str = "k", text: str = "hello", inputs: dict[str, Any] | None = None) -> Path:
    with store.writing("ingest", key) as output:
        (output.path / "deep").mkdir()
        (output.path / "deep" / "file.txt").write_text(text)
        store.commit(output, RECORD, inputs or {})
    return store.root / "stages" / "ingest" / key


def test_a_published_output_is_found_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store)
    assert store.find("ingest", "k") == RECORD
    assert store.find("ingest", "other") is None
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("damage", ["change", "remove", "add", "manifest", "empty_record"])
def test_a_damaged_output_is_never_a_result(tmp_path: Path, damage: str) -> None:
    store = Store(tmp_path)
    folder = publish(store)
    match damage:
        case "change":
            (folder / "deep" / "file.txt").write_text("hellO")
        case "remove":
            (folder / "deep" / "file.txt").unlink()
        case "add":
            (folder / "extra").write_text("")
        case "manifest":
            (folder / MANIFEST).write_text("{")
        case "empty_record":
            (folder / "record.json").write_text("")
    assert store.find("ingest", "k") is None
    assert not folder.exists(), "a damaged output must be out of the way of the next run"
    assert len(list((tmp_path / "damaged").iterdir())) == 1
    publish(store)
    assert store.find("ingest", "k") == RECORD


def test_an_exception_publishes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(RuntimeError), store.writing("ingest", "k") as output:
        (output.path / "half").write_text("half")
        raise RuntimeError
    assert store.find("ingest", "k") is None
    assert list((tmp_path / "tmp").iterdir()) == []


def test_two_writers_of_one_key_give_one_result(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writing("ingest", "k") as one, store.writing("ingest", "k") as two:
        assert store.commit(one, RECORD, {}) is True
        assert store.commit(two, RECORD, {}) is False
    assert store.find("ingest", "k") == RECORD


def test_scratch_survives_a_failure_and_goes_on_success(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(RuntimeError), store.writing("train", "k") as output:
        output.scratch.mkdir(parents=True)
        (output.scratch / "checkpoint").write_text("half way")
        raise RuntimeError
    with store.writing("train", "k") as output:
        assert (output.scratch / "checkpoint").read_text() == "half way"
        store.commit(output, RECORD, {})
    assert not output.scratch.exists()


def test_explain_names_what_changed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.explain("ingest", {}) == ["no earlier output of this stage"]
    publish(store, inputs={"spec": {"training": {"epochs": 2}}, "device": "cpu"})
    assert store.explain("ingest", {"spec": {"training": {"epochs": 3}}, "device": "cpu"}) == [
        "spec.training.epochs: 2 -> 3"
    ]


@pytest.mark.parametrize("uri", ["../outside", "/etc/passwd", "stages/../../x"])
def test_uris_stay_inside_the_store(tmp_path: Path, uri: str) -> None:
    with pytest.raises(IntegrityError, match="out of the store"):
        Store(tmp_path / "home").resolve(uri)


def test_symbolic_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/hostname")
    with pytest.raises(IntegrityError, match="symbolic link"):
        Manifest.of(tmp_path)


@pytest.mark.parametrize("call", ["open", "fsync", "rename"])
def test_a_full_disk_keeps_the_old_file_and_leaves_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    target = tmp_path / "state.json"
    write_durable(target, "old")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if call == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(Path, call, full)
    with pytest.raises(StorageError, match="disk is full"):
        write_durable(target, "new")
    monkeypatch.undo()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_new_folders_are_synced_into_their_parents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(store_module, "fsync_dir", synced.append)
    write_durable(tmp_path / "a" / "b" / "file", "x")
    assert synced == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    synced.clear()
    publish(Store(tmp_path / "home"))
    assert {tmp_path, tmp_path / "home", tmp_path / "home" / "stages", tmp_path / "home" / "stages" / "ingest"} <= set(
        synced
    )
    synced.clear()
    make_folder(tmp_path / "a" / "b")
    assert synced == []


def test_a_folder_that_the_disk_refuses_is_told_in_our_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(StorageError, match="disk is full"):
        write_durable(tmp_path / "new" / "file", "x")


def test_kill_9_while_writing_leaves_old_or_new(tmp_path: Path) -> None:
    target = tmp_path / "state"
    old, new = "o" * 300_000, "n" * 300_000
    script = textwrap.dedent(f"""
        import itertools
        from pathlib import Path
        from ftcore.store import write_durable
        print("ready", flush=True)
        for turn in itertools.count():
            write_durable(Path({str(target)!r}), "on"[turn % 2] * 300_000)
    """)
    for delay in range(5):
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        while not target.exists():
            pass
        try:
            process.wait(0.02 + delay / 50)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert target.read_text() in (old, new)


def test_publish_folder_writes_the_manifest_last(tmp_path: Path) -> None:
    source = tmp_path / "tmp-x"
    source.mkdir()
    (source / "a").write_text("a")
    assert publish_folder(source, tmp_path / "final") is True
    Manifest.read(tmp_path / "final").verify(tmp_path / "final")
