"""`ftcore review make|record SPEC`: people compare answers of candidate and champion, blind; what they find goes on record."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ftcore.cli._names import SpecName, spec_name
from ftcore.cli._output import JsonFlag, libraries_on_stderr, print_json, print_line
from ftcore.errors import num_of

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Let people compare answers, blind; put what they find on record."
)


@app.command()
def make(
    spec: SpecName,
    out: Annotated[Path, typer.Option(help="New folder for the page and the sheet to fill in.")] = Path("review"),
    rows: Annotated[int, typer.Option(min=1, help="Pairs, drawn among the rows on which the models differ.")] = 50,
    actor: Annotated[str | None, typer.Option(help="Who; default: $FTCORE_ACTOR, else your user name.")] = None,
    json: JsonFlag = False,
) -> None:
    """Write pairs of the newest decision: pairs.html to read, choices.csv to fill in, one copy per reviewer."""
    from ftcore.ledger import open_ledger
    from ftcore.pipeline.reviews import make_review
    from ftcore.stages.promote import actor as current_actor
    from ftcore.store import Store

    with open_ledger() as ledger:
        made = make_review(spec_name(spec), ledger, Store(), out, rows, actor or current_actor())
    if json:
        print_json(made)
    else:
        print_line(
            f"review {made['review']} of the decision of {made['at'][:16]}: {made['candidate'][:12]} {made['outcome']} against "
            f"champion {made['champion'][:12]}"
        )
        fewer = f", for the models differ on no more rows (wanted {rows})" if made["num_pairs"] < rows else ""
        print_line(f"{num_of(made['num_pairs'], 'pair')} in {out}/pairs.html{fewer}")
        print_line(f"Each reviewer fills in a copy of {out}/choices.csv (A, B or tie), then:")
        print_line(f"  ftcore review record {spec} COPY.csv …")


@app.command()
def record(
    spec: SpecName,
    files: Annotated[list[Path], typer.Argument(help="Filled-in copies of choices.csv, one per reviewer.")],
    labels: Annotated[
        Path | None, typer.Option(help="New JSONL file of the pairs and choices, for evaluation.llm_judge.labels.")
    ] = None,
    actor: Annotated[str | None, typer.Option(help="Who; default: $FTCORE_ACTOR, else your user name.")] = None,
    json: JsonFlag = False,
) -> None:
    """Count the choices, say how far reviewers agree, and put it into the ledger. It informs; it decides nothing."""
    from ftcore.evaluation.review import summary
    from ftcore.ledger import open_ledger
    from ftcore.pipeline.reviews import record_review
    from ftcore.stages.promote import actor as current_actor
    from ftcore.store import Store

    with open_ledger() as ledger, libraries_on_stderr():
        seen = record_review(spec_name(spec), ledger, Store(), files, actor or current_actor(), labels)
    if json:
        print_json(asdict(seen))
    else:
        print_line(summary(seen))
