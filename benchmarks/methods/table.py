"""The measured rows as a table of docs/methods.md, between two markers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from benchmarks.documents import put_between
from benchmarks.methods.plan import ROOT, Row
from benchmarks.methods.results import Result, is_current
from ftcore.errors import num_of
from ftcore.store import write_durable

DOC = ROOT / "docs" / "methods.md"
BEGIN, END = "<!-- methods table: python -m benchmarks.methods --render -->", "<!-- end of methods table -->"
_NOT_YET = "No row has been measured with the settings of this version: `python -m benchmarks.methods` does it."
_HEAD = (
    "| method | {metric} | trained | CPU minutes | peak MB | rows per CPU s | model MB | adapter MB |\n"
    "|---|---|---|---|---|---|---|---|"
)


def table(rows: Sequence[Row], results: Mapping[str, Result]) -> str:
    """Markdown: one table per set, of the rows measured with today's settings, and where: costs compare within a set alone."""
    measured = [row for row in rows if is_current(row, results)]
    if not measured:
        return _NOT_YET
    parts = []
    for data, of_set in groupby(measured, key=lambda row: row.data):
        lines = [(row, results[row.name]) for row in of_set]
        first = lines[0][1]
        title = (
            f"**{data.title}** ({_count(first['num_train'])} training rows, {_count(first['num_test'])} held-out rows)"
        )
        body = "\n".join(_line(row, result) for row, result in lines)
        parts += [
            title,
            _where(results[row.name] for row, _ in lines),
            f"{_HEAD.format(metric=first['metric'])}\n{body}",
        ]
        parts += [_student(row, result) for row, result in lines if "speedup" in result]
    return "\n\n".join(parts)


def _where(results: Iterable[Result]) -> str:
    """Machines and libraries, each once."""
    seen = {
        f"{item['cpu']}, {num_of(item['threads'], 'thread')}, {item['precision']}; "
        + ", ".join(f"{name} {version}" for name, version in item["libraries"].items())
        for item in results
    }
    return "Measured on: " + "; and on: ".join(sorted(seen)) + "."


def _line(row: Row, result: Result) -> str:
    cells = [
        row.title, f"{result['score']:.3f}", _trained(result), _number(result.get("minutes"), 1),
        _number(result.get("peak_mb"), 0), _number(result.get("samples_per_s"), 0), _number(result.get("model_mb"), 0),
        _number(result.get("adapter_mb"), 1),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _student(row: Row, result: Result) -> str:
    kept, faster = result["share_of_teacher"], result["speedup"]
    return f"{row.title}: keeps {kept:.1%} of its teacher's {result['metric']} and answers {faster:.1f} times as fast."


def _trained(result: Result) -> str:
    """Trained weights, and their share of all."""
    trained, total = result["num_trainable"], result.get("num_parameters")
    return f"{_count(trained)} ({trained / total:.1%})" if total else "0"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _count(value: int) -> str:
    return f"{value:,}"


def render(rows: Sequence[Row], results: Mapping[str, Result], path: Path = DOC) -> bool:
    """Put the table between the markers of a document; False: it was there already.

    Raises:
        UsageError: The document lacks the markers.
    """
    old = path.read_text(encoding="utf-8")
    new = put_between(old, BEGIN, table(rows, results), END)
    if new != old:
        write_durable(path, new)
    return new != old
