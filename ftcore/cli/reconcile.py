"""`ftcore reconcile`: one sweep that brings ledger, MLflow and alert outbox to rest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ftcore.cli._output import JsonFlag, libraries_on_stderr, print_json, print_line
from ftcore.errors import SpecError, UsageError


def reconcile(
    project: Annotated[
        Path | None,
        typer.Option(help="Folder that holds dags/specs, for alert addresses; default: found from here upwards."),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Finish or abort promotions that a crash left, put MLflow's alias back on the champion, deliver waiting alerts.

    Also end MLflow runs and remove unfinished folders (after a day) and checkpoints (after a week) that a killed process left.
    """
    from ftcore.ledger import open_ledger
    from ftcore.monitoring.alerts import deliver
    from ftcore.registry.reconcile import reconcile as sweep
    from ftcore.stages.promote import actor
    from ftcore.store import Store

    store = Store()
    with open_ledger() as ledger, libraries_on_stderr():
        try:
            done = sweep(ledger, store, actor=actor())
        finally:  # MLflow being down must not hold alerts back
            addresses, all_specs = _addresses(project)
            delivery = deliver(ledger, addresses, store.root / "alerts.log", all_specs=all_specs)
    if json:
        alerts = {"delivered": delivery.delivered, "failed": delivery.failed, "waiting": delivery.waiting}
        print_json({"done": done, "alerts": alerts})
        return
    for line in done or ["all promotions are finished; every alias is on its champion"]:
        print_line(line)
    print_line(f"alerts: {delivery.delivered} delivered, {delivery.failed} failed, {delivery.waiting} waiting")


def _addresses(project: Path | None) -> tuple[dict[str, list[str]], bool]:
    """Spec name -> alert URLs, and whether these are all specs of the project: an alert that no readable spec names may belong
    to a file that has faults, and waits until that is put right."""
    from ftcore.spec import load_spec
    from ftcore.stack.project import find_project, spec_files

    try:
        files = spec_files(find_project(project))
    except UsageError:
        if project is not None:
            raise
        return {}, False
    addresses: dict[str, list[str]] = {}
    all_specs = True
    for path in files:
        try:
            spec = load_spec(path)
        except SpecError:
            all_specs = False
            continue
        addresses[spec.name] = spec.alerts.urls
    return addresses, all_specs
