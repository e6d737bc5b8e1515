"""`ftcore stage STAGE SPEC`: one stage in a process of its own. This is what Airflow's tasks call."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated, Any

import typer

from ftcore.cli._output import JsonFlag, SetOption, SpecArgument, libraries_on_stderr, print_json, print_line
from ftcore.errors import UsageError
from ftcore.spec import load_spec


def stage(
    name: Annotated[str, typer.Argument(help="ingest, validate, prepare, tune, train, evaluate, judge or promote.")],
    spec: SpecArgument,
    inputs: Annotated[
        Path | None,
        typer.Option(
            help="JSON file: records of earlier stages by stage name; what comes from the ledger may be left out."
        ),
    ] = None,
    overrides: SetOption = None,
    json: JsonFlag = False,
) -> None:
    """Run one stage on the records of earlier stages and print its record."""
    from ftcore.ledger import open_ledger
    from ftcore.pipeline import begin_stage, finish_stage, gather, run_stage, tuned
    from ftcore.stages import stage_of
    from ftcore.store import Store

    loaded = load_spec(spec, overrides or ())
    store, row = Store(), stage_of(name, loaded)
    with libraries_on_stderr():
        ledger = open_ledger()
        given = gather(row, loaded, ledger, store, read_records(inputs))
        begin_stage(name, loaded, ledger)
        step = run_stage(name, loaded, given, store)
        finish_stage(step, tuned(loaded, given), given, ledger, store)
    if json:
        print_json(step.to_dict())
    else:
        print_line(jsonlib.dumps(step.record.to_dict(), indent=2))
    if step.record.refused:
        raise typer.Exit(3)


def read_records(path: Path | None) -> dict[str, Any]:
    """Records of earlier stages by stage name, from a JSON file.

    Raises:
        UsageError: The file cannot be read.
    """
    from ftcore.records import DataRef, parse_json, record_from_dict

    if path is None:
        return {}
    try:
        raw = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"Cannot read the inputs {path}: {error}.") from None
    records: dict[str, Any] = {}
    for name, value in raw.items():
        if name == "data":
            records[name] = DataRef(**value)
        else:
            records[name] = None if value is None else record_from_dict(value)
    return records
