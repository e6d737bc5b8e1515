"""`ftcore audit verify|why|export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ftcore.cli._names import spec_name
from ftcore.cli._output import JsonFlag, libraries_on_stderr, print_json, print_line, print_note

_NUM_TOLD = 3  # faults that fit into an alert

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Verify the ledger; answer why a model is in production."
)

TargetArgument = Annotated[
    str, typer.Argument(metavar="MODEL|SPEC", help="Model digest (or its beginning), spec name or file.")
]


@app.command()
def verify(
    known_hash: Annotated[
        str | None,
        typer.Option(
            "--known-hash",
            help="Hash that an earlier verification printed, kept on another machine: proves that no event was cut off. "
            "The last one is remembered in FTCORE_HOME by itself.",
        ),
    ] = None,
    no_pull: Annotated[
        bool, typer.Option("--no-pull", help="Only ask whether the champions' data versions are there: no download.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Check the event chain, every package, every data version and MLflow's alias; every fault is listed (exit code 1).

    The data version of each champion is pulled and compared with what was recorded: that takes the time, network and free
    disk that ingesting it took. --no-pull leaves it out.
    """
    from ftcore.audit.verify import verify as verify_all
    from ftcore.ledger import open_ledger
    from ftcore.store import Store

    with open_ledger() as ledger, libraries_on_stderr():
        report = verify_all(ledger, Store(), known_hash, pull_data=not no_pull)
    if json:
        print_json(report.to_dict())
    else:
        for check in report.checks:
            print_line(f"{check.name:<14} {check.checked:>6} checked  {'ok' if not check.faults else 'FAULT'}")
            for fault in check.faults:
                print_line(f"  - {fault}")
        print_line(f"last hash      {report.last_hash}")
    if report.faults:
        if json:  # Airflow's alert quotes standard error
            more = "" if len(report.faults) <= _NUM_TOLD else f"; and {len(report.faults) - _NUM_TOLD} more"
            print_note("; ".join(report.faults[:_NUM_TOLD]) + more)
        raise typer.Exit(1)


@app.command()
def why(target: TargetArgument, json: JsonFlag = False) -> None:
    """Data version, base model, code, settings, metrics, verdict and approver of a model that is or was champion."""
    from ftcore.audit.why import why as explain
    from ftcore.ledger import open_ledger
    from ftcore.store import Store

    with open_ledger() as ledger:
        answer = explain(spec_name(target), ledger, Store())
    if json:
        print_json(answer)
    else:
        for line in _lines(answer):
            print_line(line)


@app.command()
def export(
    target: TargetArgument,
    out: Annotated[Path, typer.Option("--out", help="Zip file to write.")],
    json: JsonFlag = False,
) -> None:
    """Write the audit pack: the evidence for one model and the event chain, with a script that checks it without ftcore."""
    from ftcore.audit.export import export as write_pack
    from ftcore.ledger import open_ledger
    from ftcore.store import Store

    with open_ledger() as ledger:
        answer = write_pack(spec_name(target), out.absolute(), ledger, Store())
    if json:
        print_json(answer)
    else:
        print_line(f"{answer['file']}: model {answer['model_digest']}, {answer['num_events']} events")
        print_line(f"last hash {answer['last_hash']}; check it with: unzip {out.name}; python check.py")


def _lines(answer: dict[str, Any]) -> list[str]:
    data, code, training, verdict = answer["data"], answer["code"], answer["training"], answer["verdict"]
    rows = ", ".join(f"{name} {count}" for name, count in answer["prepared"]["num_rows"].items())
    lines = [
        f"model      {answer['model_digest']}",
        f"status     {answer['status']} of {answer['spec']}",
        f"data       {data['path']} at {data['rev']} of {data['repo'] or 'a plain folder'} ({rows} rows)",
        f"holdout    {answer['prepared']['test_digest']}",
        f"base model {answer['base_model']['name']} ({answer['base_model']['digest']})",
        f"start      {'champion ' + answer['started_from'] if answer['started_from'] else 'the base model'}",
        f"code       ftcore {code['ftcore']}, source {code['source_sha256']}",
        f"packages   Python {answer['environment']['python']}, lock {answer['environment']['digest']}",
        f"training   {training['method']} on {training['device']} {training['precision']}: {training['num_steps']} steps, "
        f"validation loss {training['best_validation_loss']:.4f}",
    ]
    for role, metrics in answer["metrics"].items():
        values = ", ".join(f"{name} {_metric(value)}" for name, value in metrics.items())
        lines.append(f"metrics    {role}: {values}")
    lines.append(f"verdict    {verdict['outcome']} ({verdict['digest']})")
    lines += [f"           {reason}" for reason in verdict["reasons"]]
    for moment in answer["promotions"]:
        lines.append(
            f"{moment['intent']:<10} {moment['at']} by {moment['actor']}: {moment['reason']} (event {moment['event']})"
        )
    return lines


def _metric(value: dict[str, Any]) -> str:
    return f"{value['value']:.4f} [{value['ci_low']:.4f}, {value['ci_high']:.4f}]"
