"""`ftcore validate SPEC`: data quality and leakage verdict, with Data Docs."""

from __future__ import annotations

from typing import Annotated

import typer

from ftcore.cli._output import (
    JsonFlag,
    SetOption,
    SpecArgument,
    libraries_on_stderr,
    print_json,
    print_line,
    print_note,
    print_table,
)
from ftcore.records import ValidationReport
from ftcore.spec import load_spec


def validate(
    spec: SpecArgument,
    overrides: SetOption = None,
    rev: Annotated[str | None, typer.Option(help="Data revision instead of the spec's.")] = None,
    json: JsonFlag = False,
) -> None:
    """Pull the data version and judge it: expectations on every split, labels, leaks. Exit code 3: refused."""
    from ftcore.ledger import open_ledger
    from ftcore.pipeline import run_pipeline
    from ftcore.store import Store

    loaded, store = load_spec(spec, overrides or ()), Store()
    announce = (lambda name: None) if json else (lambda name: print_note(f"{name} …"))
    with libraries_on_stderr():
        *_, step = run_pipeline(loaded, store, open_ledger(), last="validate", rev=rev, announce=announce)
    report = step.record
    assert isinstance(report, ValidationReport)
    docs = store.resolve(report.docs_uri)
    if json:
        verdict = "refused" if report.refused else "ok"
        print_json({"verdict": verdict, "reused": step.reused, "docs": str(docs), "report": report.to_dict()})
    else:
        rows = [[item.split, item.num_rows, item.num_expectations, len(item.failed)] for item in report.splits]
        print_table(f"Data of {loaded.name}", ["split", "rows", "expectations", "failed"], rows)
        for split, counts in (("test", report.num_leaked), ("validation", report.num_leaked_validation)):
            leaked = ", ".join(f"{rule} {count}" for rule, count in counts.items())
            print_line(f"Leaked {split} rows: {leaked}")
        print_line(f"Data Docs: {docs}")
        print_line("Refused:" if report.refused else "ok: the data may be trained on")
        for reason in report.refused:
            print_line(f"  - {reason}")
    if report.refused:
        raise typer.Exit(3)
