"""`ftcore quarantine list|release SPEC`: rows that were set aside, and letting them back in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from ftcore.cli._output import (
    JsonFlag,
    SetOption,
    SpecArgument,
    libraries_on_stderr,
    print_json,
    print_line,
    print_table,
)
from ftcore.errors import num_of

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List rows that were set aside; let rows back in.")
_SHOWN = 50
RevOption = Annotated[str | None, typer.Option(help="Data revision instead of the spec's.")]


@app.command(name="list")
def list_rows(
    spec: SpecArgument,
    overrides: SetOption = None,
    rev: RevOption = None,
    reason: Annotated[str | None, typer.Option(help="Only rows set aside for this reason.")] = None,
    json: JsonFlag = False,
) -> None:
    """Rows of the data version that are set aside, with their reasons. Runs validate and prepare if they have not run."""
    held = _held(spec, overrides, rev)
    rows = [row for row in held.rows if reason in (None, row["reason"])]
    if json:
        page = str(held.report) if held.report else None
        print_json(
            {
                "rows": rows,
                "reasons": held.reasons,
                "releasable": sorted(held.releasable),
                "released": [dict(row) for row in held.released],
                "report_page": page,
            }
        )
        return
    if reason is not None and not rows:
        known = ", ".join(held.reasons) or "none, for no row is set aside"
        print_line(f"No row is set aside for {reason!r}; reasons there are: {known}")
        return
    counts = Counter(row["reason"] for row in rows)
    free = Counter(row["reason"] for row in rows if row["id"] in held.releasable)
    cells = [[name, count, free[name]] for name, count in counts.most_common()]
    print_table(f"{num_of(len(rows), 'row')} set aside", ["reason", "rows", "can be released"], cells)
    shown = rows if reason else [row for row in rows if row["id"] in held.releasable]
    for row in shown[:_SHOWN]:
        print_line(f"  {row['id']} ({row['split']}): {row['reason']}")
    if len(shown) > _SHOWN:
        print_line(f"  and {len(shown) - _SHOWN} more (--json lists all)")
    _print_released(held.released)
    if rows and held.report:
        print_line(f"Read them (up to ten examples of each finding): {held.report}")
    if free:
        print_line("Let rows back in: ftcore quarantine release SPEC --id ID --because 'what you saw'")


@app.command()
def release(
    spec: SpecArgument,
    because: Annotated[str, typer.Option(help="Why the rows may be used; kept in the ledger.")],
    ids: Annotated[list[str] | None, typer.Option("--id", help="Row to release (repeatable).")] = None,
    reason: Annotated[str | None, typer.Option(help="Release all rows set aside for this reason.")] = None,
    overrides: SetOption = None,
    rev: RevOption = None,
    actor: Annotated[str | None, typer.Option(help="Who; default: $FTCORE_ACTOR, else your user name.")] = None,
    json: JsonFlag = False,
) -> None:
    """Let rows out of quarantine: the next run uses them. A ledger event says who, when and why."""
    from ftcore.ledger import open_ledger
    from ftcore.stages.promote import actor as current_actor

    held = _held(spec, overrides, rev)
    chosen = held.choose(ids or [], reason)
    with open_ledger() as ledger:
        event = ledger.release_rows(held.spec, chosen, because, actor or current_actor())
    if json:
        print_json({"event": event.seq, "rows": chosen})
    else:
        print_line(
            f"{num_of(len(chosen), 'row')} released (event {event.seq} of the ledger); the next run uses "
            f"{'it' if len(chosen) == 1 else 'them'}: ftcore run {spec}"
        )


def _print_released(released: Sequence[Mapping[str, Any]]) -> None:
    if released:
        print_line(f"Released before: {num_of(len(released), 'row')}")
    for row in released[-_SHOWN:]:
        gone = "" if row["used"] else " (changed or gone since: not in use)"
        print_line(
            f"  {row['id']}: {row['reason']}, by {row['actor']} at {row['at'][:16]}Z, event {row['event']}: "
            f"{row['because']}{gone}"
        )


def _held(spec: str, overrides: list[str] | None, rev: str | None) -> Any:
    from ftcore.ledger import open_ledger
    from ftcore.quarantine import held_rows
    from ftcore.spec import load_spec
    from ftcore.store import Store

    with libraries_on_stderr(), open_ledger() as ledger:
        return held_rows(load_spec(spec, overrides or ()), Store(), ledger, rev)
