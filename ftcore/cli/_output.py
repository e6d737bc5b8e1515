"""Printing for people and, with `--json`, for programs. The only place in ftcore that writes to a terminal."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

import typer

from ftcore.errors import FtcoreError

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
SpecArgument = Annotated[str, typer.Argument(help="Spec file, for example dags/specs/support_intents.yaml.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Override a setting: training.epochs=3 (repeatable).")
]


@contextlib.contextmanager
def libraries_on_stderr() -> Iterator[None]:
    """Libraries print as they please (MLflow: addresses of runs); standard output is for the answer alone."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def print_json(value: Any) -> None:
    """One JSON document on standard output; never NaN."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n")


def printable(text: str) -> str:
    """Text that cannot steer a terminal: names and ids out of data files may hold escape sequences."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in text)


def print_line(text: str = "") -> None:
    sys.stdout.write(printable(text) + "\n")
    sys.stdout.flush()


def print_note(text: str) -> None:
    """Progress and remarks: standard error, so that `--json` output stays clean."""
    sys.stderr.write(printable(text) + "\n")
    sys.stderr.flush()


def print_error(error: FtcoreError) -> None:
    kind = {2: "Usage", 3: "Refused"}.get(error.exit_code, "Failed")
    sys.stderr.write(printable(f"{kind}: {error}\n"))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A plain table; wide cells wrap."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Text, not str: square brackets in names are no markup.
    table = Table(title=Text(printable(title)), title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else printable(str(cell))) for cell in row))
    console = Console()
    console.print(table) if console.is_terminal else Console(width=160).print(table)
