"""The row log: nothing acknowledged is ever lost, whatever tears the file."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftcore import store
from ftcore.errors import StorageError
from ftcore.serving import log as module
from ftcore.serving.log import LogWriter, append_rows, frame, read_log, read_segment, unframe

json_rows = st.dictionaries(
    st.text(st.characters(codec="utf-8"), max_size=8),
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
              st.text(st.characters(codec="utf-8"), max_size=40)),
    max_size=5,
)  # fmt: skip


def test_new_folders_of_a_log_survive_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    for owner in (store, module):
        monkeypatch.setattr(owner, "fsync_dir", synced.append)
    append_rows(tmp_path / "predictions" / "intents", [{"id": 1}])
    assert synced == [tmp_path, tmp_path / "predictions", tmp_path / "predictions" / "intents"]


@given(json_rows)
def test_frame_round_trip(row: dict[str, object]) -> None:
    assert unframe(frame(row)[:-1]) == row


@settings(max_examples=40)
@given(st.lists(json_rows, min_size=1, max_size=4))
def test_cut_at_every_byte_of_the_last_row(rows: list[dict[str, object]]) -> None:
    earlier = b"".join(frame(row) for row in rows[:-1])
    last = frame(rows[-1])
    for cut in range(len(last)):
        found, dropped = read_segment(earlier + last[:cut])
        assert found == rows[:-1]
        assert dropped == (1 if cut else 0)
    assert read_segment(earlier + last) == (rows, 0)


@given(st.lists(json_rows, min_size=3, max_size=3), st.data())
def test_a_damaged_byte_costs_at_most_its_own_rows(rows: list[dict[str, object]], data: st.DataObject) -> None:
    parts = [frame(row) for row in rows]
    position = data.draw(st.integers(0, len(parts[1]) - 1))
    flipped = bytearray(parts[1])
    flipped[position] ^= data.draw(st.integers(1, 255))
    found, dropped = read_segment(parts[0] + bytes(flipped) + parts[2])
    assert found[0] == rows[0]
    assert dropped >= 1
    newline_lost = position == len(parts[1]) - 1
    assert found[-1] == (rows[0] if newline_lost else rows[2])


def test_rows_of_several_writers_are_merged_by_time(tmp_path: Path) -> None:
    with LogWriter(tmp_path) as one, LogWriter(tmp_path) as two:
        one.append([{"id": "a", "at": "2026-01-01T00:00:00+00:00"}]).result()
        two.append([{"id": "b", "at": "2026-01-01T00:00:01+00:00"}]).result()
        one.append([{"id": "c", "at": "2026-01-01T00:00:02+00:00"}]).result()
    rows, dropped = read_log(tmp_path)
    assert [row["id"] for row in rows] == ["a", "b", "c"]
    assert dropped == 0
    assert len(list(tmp_path.glob("*.log"))) == 2
    assert [row["id"] for row in read_log(tmp_path, after="2026-01-01T00:00:00+00:00")[0]] == ["b", "c"]


def test_old_segments_are_not_opened(tmp_path: Path) -> None:
    append_rows(tmp_path, [{"id": "old", "at": "2026-01-01T00:00:00+00:00"}])
    (old,) = tmp_path.glob("*.log")
    os.utime(old, (1_767_225_600, 1_767_225_600))  # 2026-01-01
    old.chmod(0o600)
    old.write_bytes(old.read_bytes() + b"torn")
    os.utime(old, (1_767_225_600, 1_767_225_600))
    assert read_log(tmp_path, after="2026-01-02T00:00:00+00:00") == ([], 0)
    assert read_log(tmp_path)[1] == 1


def test_no_folder_is_no_rows(tmp_path: Path) -> None:
    assert read_log(tmp_path / "absent") == ([], 0)


def test_rotation_by_size(tmp_path: Path) -> None:
    with LogWriter(tmp_path, segment_bytes=500) as log:
        for number in range(40):
            log.append([{"id": f"{number:03}", "at": f"{number:03}", "text": "x" * 80}]).result()
    assert len(list(tmp_path.glob("*.log"))) >= 5
    rows, dropped = read_log(tmp_path)
    assert [row["id"] for row in rows] == [f"{number:03}" for number in range(40)]
    assert dropped == 0


def test_concurrent_appends_share_syncs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs = 0
    real = os.fsync

    def counting(descriptor: int) -> None:
        nonlocal syncs
        syncs += 1
        real(descriptor)

    monkeypatch.setattr(module.os, "fsync", counting)
    with LogWriter(tmp_path) as log:
        futures = [log.append([{"id": str(number), "at": "1"}]) for number in range(2_000)]
        for future in futures:
            future.result(timeout=20)
    assert len(read_log(tmp_path)[0]) == 2_000
    assert syncs < 1_000


def test_appends_from_many_threads(tmp_path: Path) -> None:
    with LogWriter(tmp_path) as log:

        def work(name: int) -> None:
            for number in range(50):
                log.append([{"id": f"{name}-{number}", "at": "1"}]).result(timeout=20)

        threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len({row["id"] for row in read_log(tmp_path)[0]}) == 400


def test_a_cancelled_request_does_not_stop_the_log(tmp_path: Path) -> None:
    with LogWriter(tmp_path) as log:
        for number in range(200):
            log.append([{"id": str(number), "at": "1"}]).cancel()
        log.append([{"id": "last", "at": "2"}]).result(timeout=10)
    assert read_log(tmp_path)[0][-1]["id"] == "last"


def test_full_disk_fails_the_request_and_keeps_earlier_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LogWriter(tmp_path) as log:
        log.append([{"id": "kept", "at": "1"}]).result()

        def full(descriptor: int, data: memoryview) -> int:
            monkeypatch.undo()
            os.write(descriptor, data[:7])  # part of the row reaches the disk, then it is full
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(module.os, "write", full)
        with pytest.raises(StorageError, match="disk is full"):
            log.append([{"id": "lost", "at": "2"}]).result(timeout=10)
        log.append([{"id": "after", "at": "3"}]).result(timeout=10)
    rows, dropped = read_log(tmp_path)
    assert [row["id"] for row in rows] == ["kept", "after"]
    assert dropped == 0


def test_nan_and_closed_are_refused(tmp_path: Path) -> None:
    log = LogWriter(tmp_path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        log.append([{"confidence": float("nan")}])
    log.close()
    log.close()
    with pytest.raises(ValueError, match="closed"):
        log.append([{}])
    assert list(tmp_path.iterdir()) == []


def test_kill_9_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """A process that prints an id once its row is acknowledged is killed at a random moment; every printed id is there."""
    program = (
        "import sys; from pathlib import Path; from ftcore.serving.log import LogWriter\n"
        "log = LogWriter(Path(sys.argv[1]))\n"
        "for n in range(10**6):\n"
        "    log.append([{'id': str(n), 'at': f'{n:08}', 'text': 'x' * 300}]).result()\n"
        "    print(n, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(100):
        process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    acknowledged = 99 + len(process.stdout.read().split())
    process.wait()
    rows, dropped = read_log(tmp_path)
    assert dropped <= 1
    assert len(rows) >= acknowledged
    assert [row["id"] for row in rows] == [str(number) for number in range(len(rows))]
    assert json.dumps(rows[0])
