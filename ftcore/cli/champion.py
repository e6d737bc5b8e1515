"""`ftcore champion show|history|promote|rollback SPEC`."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Annotated

import typer

from ftcore.cli._names import SpecName, spec_name
from ftcore.cli._output import JsonFlag, SetOption, SpecArgument, print_json, print_line, print_note, print_table
from ftcore.errors import UsageError

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Show, promote or roll back the model in production."
)

ReasonOption = Annotated[str, typer.Option(help="Why; kept in the ledger.")]


@app.command()
def show(spec: SpecName, json: JsonFlag = False) -> None:
    """The champion of a spec, as the ledger has it."""
    from ftcore.ledger import open_ledger

    name = spec_name(spec)
    with open_ledger() as ledger:
        head = ledger.head(name)
        promotion = ledger.promotion(head.promotion_id) if head is not None else None
    if json:
        print_json({"spec": name, "champion": asdict(head) if head is not None else None,
                    "promotion": promotion.to_dict() if promotion is not None else None})  # fmt: skip
    elif head is None or promotion is None:
        print_line(f"{name} has no champion yet.")
    else:
        print_line(f"{name}: model {head.model_digest} since {head.since} (event {head.seq})")
        print_line(
            f"package {head.package_uri}; MLflow version {promotion.mlflow_version or 'not yet'} ({promotion.state})"
        )


@app.command()
def history(spec: SpecName, json: JsonFlag = False) -> None:
    """Every promotion and rollback of a spec: when, what, who, why."""
    from ftcore.ledger import open_ledger

    name = spec_name(spec)
    with open_ledger() as ledger:
        events = ledger.events(name, kinds=("promotion_committed",))
        states = {item.promotion_id: item for item in ledger.history(name)}
    rows = [
        {
            "event": event.seq, "at": event.at, "intent": event.payload["intent"], "model": event.payload["model_digest"],
            "replaced": event.payload["previous_digest"], "actor": event.actor, "reason": event.payload["reason"],
            "state": states[event.payload["promotion_id"]].state,
            "mlflow_version": states[event.payload["promotion_id"]].mlflow_version,
        }
        for event in events
    ]  # fmt: skip
    if json:
        print_json({"spec": name, "history": rows})
        return
    columns = ("event", "at", "intent", "model", "actor", "reason", "state", "mlflow_version")
    cells = [[row[name] if name != "model" else str(row[name])[:12] for name in columns] for row in rows]
    print_table(f"Champions of {name}", columns, cells)


@app.command()
def promote(
    spec: SpecArgument,
    overrides: SetOption = None,
    actor: Annotated[
        str | None, typer.Option(help="Who promotes; default: $FTCORE_ACTOR, else your user name.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Promote the candidate that the newest finished run has judged. Its verdict must be PASS and still about the champion.

    For a spec with `approval.required` this is the approval: it is recorded under your name.
    """
    from ftcore.ledger import open_ledger
    from ftcore.pipeline import run_pipeline
    from ftcore.spec import load_spec
    from ftcore.stages.promote import actor as current_actor
    from ftcore.store import Store

    os.environ["FTCORE_ACTOR"] = os.environ["FTCORE_APPROVED_BY"] = actor or current_actor()
    loaded = load_spec(spec, overrides or ())
    with open_ledger() as ledger:
        steps = list(run_pipeline(loaded, Store(), ledger, first="promote"))
    if not steps:
        raise UsageError(f"{loaded.name} has no judged candidate.", hint=f"ftcore run {spec}")
    record = steps[-1].record
    if json:
        print_json(record.to_dict())
    else:
        print_line(f"{loaded.name}: " + ("refused; the champion stays" if record.refused else "promoted"))
        for reason in record.refused:
            print_line(f"  - {reason}")
    if record.refused:
        raise typer.Exit(3)


@app.command()
def rollback(
    spec: SpecName,
    to: Annotated[
        str | None, typer.Option(help="Model digest of an earlier champion; default: the one before.")
    ] = None,
    reason: ReasonOption = "",
    actor: Annotated[str | None, typer.Option(help="Who; default: $FTCORE_ACTOR, else your user name.")] = None,
    json: JsonFlag = False,
) -> None:
    """Put the previous champion back. Works while MLflow is down; its alias follows with `ftcore reconcile`."""
    from ftcore.ledger import open_ledger
    from ftcore.registry.promotion import rollback as roll_back
    from ftcore.stages.promote import actor as current_actor
    from ftcore.store import Store

    with open_ledger() as ledger:
        done = roll_back(spec_name(spec), ledger, Store(), actor=actor or current_actor(), to=to, reason=reason)
    if json:
        print_json(done.to_dict())
    else:
        print_line(f"{done.spec}: champion is {done.model_digest} again (event {done.seq})")
    if done.state != "APPLIED":
        print_note("MLflow does not answer; its alias follows with: ftcore reconcile")
