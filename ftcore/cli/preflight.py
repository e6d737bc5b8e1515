"""`ftcore preflight SPEC`: would training go well? The pipeline up to prepare, then the checks before training."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from ftcore.cli._output import JsonFlag, SetOption, SpecArgument, libraries_on_stderr, print_json, print_line
from ftcore.spec import load_spec


def preflight(
    spec: SpecArgument,
    overrides: SetOption = None,
    rev: Annotated[str | None, typer.Option(help="Data revision instead of the spec's.")] = None,
    json: JsonFlag = False,
) -> None:
    """Prepare the data (or reuse it), then check rows, tokenizer, model and memory. Nothing is trained."""
    from ftcore.ledger import open_ledger
    from ftcore.pipeline import gather, run_pipeline
    from ftcore.stages import STAGES
    from ftcore.stages.train import preflight as check
    from ftcore.store import Store

    loaded, store, ledger = load_spec(spec, overrides or ()), Store(), open_ledger()
    with libraries_on_stderr():
        steps = list(run_pipeline(loaded, store, ledger, last="prepare", rev=rev))
        refused = steps[-1].record.refused
        records = {step.stage: step.record for step in steps}
        findings = [] if refused else check(loaded, gather(STAGES["train"], loaded, ledger, store, records), store)
    if json:
        print_json({"refused": list(refused), "findings": [asdict(finding) for finding in findings]})
    for reason in () if json else refused:
        print_line(f"refused at {steps[-1].stage}: {reason}")
    for finding in () if json else findings:
        print_line(f"{finding.verdict:<5}  {finding.check:<10}  {finding.message}")
        if finding.hint:
            print_line(f"{'':<19}try: {finding.hint}")
    if refused or any(finding.verdict == "fault" for finding in findings):
        raise typer.Exit(3)
