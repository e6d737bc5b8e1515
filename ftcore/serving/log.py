"""Framed, append-only row logs: predictions and feedback survive `kill -9` and a power cut.

One row is one line, `length|crc32|json`: the JSON's length in bytes, its CRC-32 as eight hex digits, the JSON itself.
A row torn by a crash fails its frame and is dropped and counted; rows before it are untouched. Every process writes
segments of its own and never reopens one, so writers need no lock and a torn tail is never appended to.

Group commit: rows from concurrent requests are written and synced together, and a request is answered only after the
sync that covers its rows. One sync costs about as much for a hundred rows as for one, so durability stays cheap.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import threading
import uuid
import zlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ftcore.errors import StorageError
from ftcore.records import canonical_json
from ftcore.store import fsync_dir, make_folder, storage_errors

Row = dict[str, Any]

SEGMENT_BYTES = 16 << 20
"""A segment is closed once it is larger than this."""

_CLOCK_SLACK_S = 2.0  # a file's mtime comes from a coarser clock than the rows' own time stamps


def now_utc() -> str:
    """Current time, ISO 8601 with microseconds, UTC: sorts as text."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def predictions_folder(home: Path, spec: str) -> Path:
    """Where the server logs what it answered."""
    return home / "predictions" / spec


def feedback_folder(home: Path, spec: str) -> Path:
    """Where the server logs the labels that come back."""
    return home / "feedback" / spec


def is_reply(row: Mapping[str, Any]) -> bool:
    """Whether a row of a prediction log, or of a reference, holds a reply and no class."""
    return "num_answer_chars" in row


def frame(row: Mapping[str, Any]) -> bytes:
    """One row as one framed line.

    Raises:
        ValueError: The row holds NaN or infinity, or text that is not valid Unicode (a lone surrogate).
    """
    body = canonical_json(dict(row)).encode()
    return b"%d|%08x|%s\n" % (len(body), zlib.crc32(body), body)


def unframe(line: bytes) -> Row | None:
    """The row of one line (without its newline), or None if the frame does not hold."""
    length, _, rest = line.partition(b"|")
    crc, _, body = rest.partition(b"|")
    try:
        if int(length) != len(body) or int(crc, 16) != zlib.crc32(body):
            return None
        row = json.loads(body)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def read_segment(data: bytes) -> tuple[list[Row], int]:
    """All whole rows of one segment, and how many were dropped (a torn tail; a damaged line in the middle)."""
    *lines, tail = data.split(b"\n")
    rows = [unframe(line) for line in lines]
    whole = [row for row in rows if row is not None]
    return whole, len(rows) - len(whole) + (1 if tail else 0)


def read_log(folder: Path, after: str = "") -> tuple[list[Row], int]:
    """Rows of all segments in the order of their `at` stamps, and how many torn or damaged rows were dropped.

    Args:
        folder: Folder of segments; one that does not exist holds no rows.
        after: Only rows stamped later than this (ISO 8601, UTC); segments last written before it are not opened.
    """
    since = datetime.fromisoformat(after).timestamp() - _CLOCK_SLACK_S if after else 0.0
    rows: list[Row] = []
    dropped = 0
    for path in sorted(folder.glob("*.log")):
        if path.stat().st_mtime < since:
            continue
        found, torn = read_segment(path.read_bytes())
        rows.extend(row for row in found if str(row.get("at", "")) > after)
        dropped += torn
    rows.sort(key=lambda row: (str(row.get("at", "")), str(row.get("id", ""))))
    return rows, dropped


class LogWriter:
    """Appends rows durably; safe to call from any thread.

    A background thread takes whatever has queued up, writes it with one call, syncs, then resolves the futures. The first segment
    is made on the first row, so a process that never writes leaves no file.
    """

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.folder = folder
        self.segment_bytes = segment_bytes
        self._queue: queue.SimpleQueue[tuple[bytes, Future[None]] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # guards _closed against an append that races with close
        self._closed = False
        self._descriptor: int | None = None
        self._size = 0
        self._thread = threading.Thread(target=self._run, name=f"log {folder.name}", daemon=True)
        self._thread.start()

    def append(self, rows: Sequence[Mapping[str, Any]]) -> Future[None]:
        """Queue rows; the future is done once they are on disk, and fails with StorageError if the disk refused them.

        Raises:
            ValueError: A row cannot be written as JSON, or the log is closed.
        """
        future: Future[None] = Future()
        data = b"".join(frame(row) for row in rows)
        with self._lock:
            if self._closed:
                raise ValueError(f"The log {self.folder} is closed.")
            self._queue.put((data, future))
        return future

    def close(self) -> None:
        """Write what is queued, then close the segment. Safe to call twice."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        closing = False
        while not closing:
            batch = [self._queue.get()]
            with contextlib.suppress(queue.Empty):
                while True:
                    batch.append(self._queue.get_nowait())
            closing = None in batch
            items = [item for item in batch if item is not None]
            # A request that went away cancels its future; its rows are written all the same, they were predicted.
            live = [future for _, future in items if future.set_running_or_notify_cancel()]
            if items:
                self._commit(b"".join(data for data, _ in items), live)
        self._end_segment()

    def _commit(self, data: bytes, waiting: list[Future[None]]) -> None:
        try:
            with storage_errors(self.folder):
                self._write(data)
        except (OSError, StorageError) as error:
            self._end_segment()  # whatever is torn stays at the end of a segment that nobody appends to
            for future in waiting:
                future.set_exception(error)
        else:
            for future in waiting:
                future.set_result(None)

    def _write(self, data: bytes) -> None:
        if self._descriptor is None:
            self._descriptor = self._new_segment()
            self._size = 0
        try:
            _write_all(self._descriptor, data)
            os.fsync(self._descriptor)
        except OSError:
            # Nobody was told that these rows are safe: take them back, so that a retry does not double them.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(data)
        if self._size > self.segment_bytes:
            self._end_segment()

    def _new_segment(self) -> int:
        make_folder(self.folder)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        path = self.folder / f"{stamp}-{os.getpid()}-{uuid.uuid4().hex[:8]}.log"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fsync_dir(self.folder)
        return descriptor

    def _end_segment(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def append_rows(folder: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Append rows from a short-lived process (a command): one segment, on disk when this returns."""
    with LogWriter(folder) as log:
        log.append(list(rows)).result()
