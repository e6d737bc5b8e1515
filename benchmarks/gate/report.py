"""What one simulation shows: a table, and targets that are met or missed. Printed, or put between markers of the document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.documents import put_between
from ftcore.evaluation.statistics.intervals import wilson
from ftcore.store import write_durable

DOC = Path(__file__).parents[2] / "docs" / "decision-statistics.md"


@dataclass(frozen=True)
class Target:
    """Something that must hold, and what was seen."""

    what: str
    wanted: str
    seen: str
    met: bool


@dataclass(frozen=True)
class Show:
    """One simulation's result."""

    name: str
    about: str
    """How it was made, in a line."""
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    targets: tuple[Target, ...] = ()

    def text(self) -> str:
        """Markdown: the table, and below it what must hold."""
        parts = [self.about, table(self.head, self.rows)]
        return "\n\n".join([*parts, targets_table(self.targets)] if self.targets else parts)


def at_most(what: str, limit: float, count: int, total: int) -> Target:
    """A share that may not be larger, with its 95 % interval (Wilson)."""
    return Target(what, f"at most {percent(limit)}", share(count, total), count <= limit * total)


def at_least(what: str, limit: float, count: int, total: int) -> Target:
    """A share that may not be smaller."""
    return Target(what, f"at least {percent(limit)}", share(count, total), count >= limit * total)


def share(count: int, total: int) -> str:
    """`1.10 % (0.91 to 1.32)`."""
    low, high = wilson(count, total)
    return f"{percent(count / total)} ({100 * low:.2f} to {100 * high:.2f})"


def percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"


def points(fraction: float) -> str:
    return f"{100 * fraction:+g}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown, columns of one width, so that it reads in a terminal as well."""
    lines = [tuple(cell.replace("|", "\\|") for cell in row) for row in (head, *rows)]
    widths = [max(len(row[column]) for row in lines) for column in range(len(head))]
    texts = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in lines
    ]
    return "\n".join([texts[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *texts[1:]])


def targets_table(targets: Sequence[Target]) -> str:
    """Markdown. Shares have the 95 % interval of the simulation itself beside them."""
    rows = [(target.what, target.wanted, target.seen, "yes" if target.met else "NO") for target in targets]
    return table(("must hold", "wanted", "seen", "met"), rows)


def with_shows(document: str, shows: Sequence[Show]) -> str:
    """The document with each show between `<!-- gate: NAME -->` and `<!-- end of NAME -->`.

    Raises:
        UsageError: It lacks the markers of a show.
    """
    for show in shows:
        document = put_between(document, f"<!-- gate: {show.name} -->", show.text(), f"<!-- end of {show.name} -->")
    return document


def render(shows: Sequence[Show], path: Path = DOC) -> None:
    """Put the tables into the document."""
    write_durable(path, with_shows(path.read_text(encoding="utf-8"), shows))
