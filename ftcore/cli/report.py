"""`ftcore report SPEC`: the error report of the newest run."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from ftcore.cli._names import SpecName, spec_name
from ftcore.cli._output import JsonFlag, print_json, print_line, print_note


def report(
    spec: SpecName,
    model: Annotated[
        str | None, typer.Option(help="Digest of a candidate, or its beginning, instead of the newest run's.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Copy the page here; it needs no other file.")] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    json: JsonFlag = False,
) -> None:
    """Where the newest error report of a spec lies: confusions, slices, clusters, labels in doubt, data to add next."""
    from ftcore.evaluation.analysis.finding import find_report
    from ftcore.store import Store, write_durable

    found = find_report(Store(), spec_name(spec), model)
    page = found.page
    if out is not None:
        page = (out / found.page.name if out.is_dir() else out).absolute()
        write_durable(page, found.page.read_bytes())
    if json:
        print_json({**found.to_dict(), "page": str(page)})
    else:
        print_line(f"{found.verdict}, candidate {found.candidate_digest[:12]}, {found.num_rows:,} rows")
        print_line(str(page))
    if open_page and not webbrowser.open(page.as_uri()):
        print_note("No browser could be started here.")
