"""`ftcore benchmark SPEC --tasks …`: standard benchmarks of a model, through lm-eval."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ftcore.cli._output import (
    JsonFlag,
    SpecArgument,
    libraries_on_stderr,
    print_json,
    print_line,
    print_note,
    print_table,
)


def benchmark(
    spec: SpecArgument,
    tasks: Annotated[str, typer.Option(help="lm-eval's tasks or groups, with commas: hellaswag,arc_easy.")],
    model: Annotated[str, typer.Option(help="champion, candidate, or the beginning of a model's digest.")] = "champion",
    limit: Annotated[int | None, typer.Option(min=1, help="Rows of each task; default: all.")] = None,
    include: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Folder with tasks of your own; their code is run."),
    ] = None,
    chat: Annotated[bool, typer.Option("--chat", help="Ask by the model's chat template.")] = False,
    json: JsonFlag = False,
) -> None:
    """What a model still knows beside its task. Needs `pip install 'ftcore[lm-eval]'`; rows come from the Hub."""
    from ftcore.evaluation.benchmarks import Asked
    from ftcore.ledger import open_ledger
    from ftcore.pipeline.benchmarks import run_benchmark
    from ftcore.spec import load_spec
    from ftcore.store import Store

    names = tuple(dict.fromkeys(name.strip() for name in tasks.split(",") if name.strip()))
    with open_ledger() as ledger, libraries_on_stderr():
        found = run_benchmark(load_spec(spec), ledger, Store(), model, Asked(names, limit, include, chat))
    if found["mlflow"]:
        print_note(f"Not in MLflow: {found['mlflow']}")
    if json:
        print_json(found)
    else:
        _show(found)


def _show(found: dict[str, Any]) -> None:
    rows = [
        (line["task"], line["metric"] if line["filter"] == "none" else f"{line['metric']} ({line['filter']})",
         f"{line['value']:.4f}", "" if line["stderr"] is None else f"{line['stderr']:.4f}", line["n"], line["shots"])
        for line in found["results"]
    ]  # fmt: skip
    print_table(f"Model {found['model'][:12]}", ("task", "metric", "value", "standard error", "rows", "shots"), rows)
    print_line(found["file"])
