"""What every maker of example data does with its rows: one JSON object a line, the card beside them, a line of output a file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Files = dict[str, list[Row]]


def write(out: Path, files: Files, card: str) -> None:
    """Write `<name>.jsonl` for each file, and `README.md`; the same rows give the same bytes."""
    out.mkdir(parents=True, exist_ok=True)
    for name, rows in files.items():
        lines = (json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" for row in rows)
        (out / f"{name}.jsonl").write_bytes(b"".join(lines))
    (out / "README.md").write_text(card, encoding="utf-8", newline="\n")


def make(
    argv: Iterable[str] | None,
    about: str | None,
    out: str,
    seed: int,
    build: Callable[[int], Files],
    card: Callable[[Files], str],
) -> None:
    """The command line of a maker.

    Args:
        argv: Arguments; None: the process's own.
        out: Folder to write to by default.
        seed: By default.
        build: Seed -> rows of each file.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--out", type=Path, default=Path(out))
    parser.add_argument("--seed", type=int, default=seed)
    options = parser.parse_args(None if argv is None else list(argv))
    files = build(options.seed)
    write(options.out, files, card(files))
    for name, rows in files.items():
        print(f"{name}.jsonl: {len(rows)} rows, {(options.out / f'{name}.jsonl').stat().st_size:,} bytes")
