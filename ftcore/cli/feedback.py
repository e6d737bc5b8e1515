"""`ftcore feedback send` and `ftcore feedback collect`: feedback back in, and out as a data version."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ftcore.cli._names import SpecName, spec_name
from ftcore.cli._output import JsonFlag, SetOption, SpecArgument, libraries_on_stderr, print_json, print_line
from ftcore.errors import UsageError, num_of
from ftcore.spec import load_spec

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Send feedback back; turn it into a data version.",
)


@app.command()
def send(
    spec: SpecName,
    identity: Annotated[str | None, typer.Option("--id", help="The id that the answer carried.")] = None,
    label: Annotated[str | None, typer.Option(help="The right label.")] = None,
    reply: Annotated[str | None, typer.Option(help="A better reply than the generated one.")] = None,
    rating: Annotated[str | None, typer.Option(help="up or down: thumbs for a generated reply.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="Many at once: CSV or JSONL with id; label, or reply and rating; optional source."),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Note what is right of one or many answers, straight into the feedback log (no server needed)."""
    from ftcore.serving.feedback import append_feedback, read_feedback

    given = {name: text for name, text in (("label", label), ("reply", reply), ("rating", rating)) if text is not None}
    if (file is None) == (identity is None or not given):
        message = "Wanted either --id and one of --label, --reply, --rating, or --file."
        raise UsageError(message, hint="ftcore feedback send SPEC --id ID --label LABEL")
    rows = read_feedback(file) if file is not None else [{"id": identity, **given}]
    accepted = append_feedback(spec_name(spec), rows)
    print_json({"accepted": accepted}) if json else print_line(f"{num_of(accepted, 'answer')} noted.")


@app.command()
def collect(spec: SpecArgument, overrides: SetOption = None, json: JsonFlag = False) -> None:
    """Make labelled production rows, or corrected replies, a new data version, if enough have come, and attach it to the open
    retrain request."""
    from ftcore.ledger import open_ledger
    from ftcore.ledger.ledger import SERVICE
    from ftcore.monitoring.corrections import RATINGS, prefers
    from ftcore.monitoring.feedback import collect_feedback, feedback_counts
    from ftcore.monitoring.labels import MIN_NEW_LABEL_ROWS
    from ftcore.store import Store

    loaded, store = load_spec(spec, overrides or ()), Store()
    with libraries_on_stderr():
        collected = collect_feedback(loaded, store, open_ledger(), SERVICE)
        counts = feedback_counts(loaded, store)
    ref = collected.data
    if json:
        left_out = {"num_left_out": collected.num_left_out, "reasons": list(collected.reasons)}
        held_back = dict(collected.held_back)
        print_json({"data": asdict(ref) if ref else None, **counts, "held_back": held_back, **left_out,
                    "followed": collected.followed})  # fmt: skip
        return
    what = ("labelled answer", "") if loaded.task == "classification" else ("corrected reply", "corrected replies")
    if prefers(loaded) == RATINGS:
        what, counts["matched"] = (
            ("correction or rating", "corrections and ratings"),
            counts["matched"] + counts["ratings"],
        )
    if collected.followed:
        print_line(f"The spec's own data has moved on: {collected.followed[:12]} is taken over.")
    if ref:
        print_line(f"New data version {ref.rev[:12]} in {ref.repo}.")
    else:
        needed, matched = loaded.monitoring.min_feedback_rows, counts["matched"]
        print_line(f"No new data version: {num_of(matched, *what)} in the logs, of which fewer than {needed} can join.")
    for label, num_rows in collected.held_back.items():
        print_line(
            f"Held back: the new label {label!r} has {num_of(num_rows, 'row')} so far, wanted {MIN_NEW_LABEL_ROWS}."
        )
    if collected.num_left_out:
        print_line(f"Left out: {num_of(collected.num_left_out, *what)} with which the data set would be refused:")
        for reason in collected.reasons:
            print_line(f"  - {reason}")
