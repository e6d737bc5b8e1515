"""`ftcore convert IN OUT --to FORMAT`: conversations from one format into another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ftcore.cli._output import JsonFlag, print_json, print_line
from ftcore.errors import UsageError, num_of
from ftcore.spec import BaseModelSpec, ColumnsSpec, ValidationSpec

if TYPE_CHECKING:
    from collections.abc import Callable

_SHOWN = 12


def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="CSV, JSONL, Parquet or text file of conversations.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="JSONL file to write; turns: .txt, too.")],
    to: Annotated[str | None, typer.Option(help="messages, prompt_completion, alpaca, sharegpt or turns.")] = None,
    template: Annotated[
        str | None,
        typer.Option(
            help="Instead: {'text'} as the chat template of this base model writes it; a folder or pkg:PACKAGE/FOLDER."
        ),
    ] = None,
    format: Annotated[str, typer.Option("--from", help="Format of IN; auto: told by the columns.")] = "auto",
    column: Annotated[
        list[str] | None,
        typer.Option(help="Name of a column in IN: prompt=question (repeatable); the parts are those of data.columns."),
    ] = None,
    max_quarantined: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of rows that may be left out because they are malformed.")
    ] = ValidationSpec().max_quarantined,
    json: JsonFlag = False,
) -> None:
    """Write conversations in another format. Exit code 3: refused, nothing written."""
    from ftcore.data.converting import convert_file
    from ftcore.data.reading import GENERATION_FORMATS

    if format not in ("auto", *GENERATION_FORMATS):
        raise UsageError(f"No format {format!r} (--from); wanted auto or one of {', '.join(GENERATION_FORMATS)}.")
    formats = GENERATION_FORMATS if format == "auto" else (format,)
    done = convert_file(source, target, _writer(to, template), _columns(column or ()), formats, max_quarantined)
    answer: dict[str, Any] = {
        "from": done.format,
        "to": to or "template",
        "out": str(target),
        "num_rows": done.num_rows,
        "columns_kept": list(done.kept),
        "num_malformed": len(done.malformed),
        "malformed": [{"id": row.id, "detail": row.detail} for row in done.malformed[:_SHOWN]],
    }
    print_json(answer) if json else _print(answer)


def _writer(to: str | None, template: str | None) -> Callable[[dict[str, Any]], dict[str, Any]]:
    from ftcore.data.converting import WRITERS, template_writer

    if (to is None) == (template is None):
        raise UsageError(
            "Wanted --to FORMAT, or --template MODEL.", hint="ftcore convert rows.csv rows.jsonl --to messages"
        )
    if template is not None:
        from ftcore.models.base import resolve_base

        return template_writer(resolve_base(BaseModelSpec(name=template)).path)
    if to not in WRITERS:
        raise UsageError(f"No format {to!r} (--to); wanted one of {', '.join(WRITERS)}.")
    return WRITERS[to]


def _columns(named: list[str] | tuple[()]) -> ColumnsSpec:
    parts = ColumnsSpec.model_fields
    given = dict(name.partition("=")[::2] for name in named)
    if faulty := [part for part, name in given.items() if part not in parts or not name]:
        message = f"Cannot read --column for {', '.join(map(repr, faulty))}; wanted PART=NAME, PART one of {', '.join(parts)}."
        raise UsageError(message, hint="--column prompt=question")
    return ColumnsSpec(**given)


def _print(answer: dict[str, Any]) -> None:
    beside = f", with {', '.join(answer['columns_kept'])}" if answer["columns_kept"] else ""
    print_line(
        f"{num_of(answer['num_rows'], 'row')} ({answer['from']}) written to {answer['out']} ({answer['to']}{beside})"
    )
    if answer["num_malformed"]:
        print_line(f"Malformed rows, left out: {answer['num_malformed']}")
        for row in answer["malformed"]:
            print_line(f"  {row['id']}: {row['detail']}")
