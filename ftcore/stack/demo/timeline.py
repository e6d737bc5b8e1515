"""What the demo did: one row per step with its wall seconds, the decision and why."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ftcore.errors import FtcoreError
from ftcore.store import write_durable


class DemoFailed(FtcoreError):
    """A decision of the loop came out other than stated."""


@dataclass
class Row:
    """One step. `decision` and `why` are filled in while the step runs."""

    step: str
    seconds: float = 0.0
    decision: str = ""
    why: str = ""
    ok: bool = False


@dataclass
class Timeline:
    """Rows in order, and the function that shows progress."""

    announce: Callable[[str], None]
    rows: list[Row] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Row]:
        """Time a step. An exception leaves its message as the reason and goes on up."""
        row = Row(title)
        self.rows.append(row)
        self.announce(f"▶ {title}")
        begin = time.monotonic()
        try:
            yield row
            row.ok = True
        except FtcoreError as error:
            row.why = error.message
            raise
        finally:
            row.seconds = time.monotonic() - begin
            self.announce(
                f"  {'✓' if row.ok else '✗'} {row.seconds:6.1f} s  {row.decision}{': ' if row.why else ''}{row.why}"
            )

    @property
    def seconds(self) -> float:
        """Since the first step began."""
        return time.monotonic() - self.started

    def save(self, path: Path) -> None:
        rows = [asdict(row) for row in self.rows]
        write_durable(
            path, json.dumps({"seconds": round(self.seconds, 1), "steps": rows}, indent=2, ensure_ascii=False)
        )


def expect(condition: bool, row: Row, wanted: str) -> None:
    """Stop the demo when a decision is not the one stated.

    Raises:
        DemoFailed: `condition` is false.
    """
    if not condition:
        raise DemoFailed(f"saw {row.decision}: {row.why}; wanted {wanted}")
