"""`ftcore doctor`: is this machine, this environment and this stack fit to work?"""

from __future__ import annotations

import typer

from ftcore.cli._output import JsonFlag, print_json, print_table
from ftcore.stack.doctor import examine
from ftcore.store import ftcore_home


def doctor(json: JsonFlag = False) -> None:
    """Check Python, memory, disk, ports, git, package versions, the ledger and the stack. Exit code 1 if a check fails."""
    checks = examine(ftcore_home())
    if json:
        print_json(
            {"ok": all(check.state != "fail" for check in checks), "checks": [check.to_dict() for check in checks]}
        )
    else:
        rows = [(check.name, check.state, check.seen, check.hint) for check in checks]
        print_table("Doctor", ("check", "state", "seen", "what to do"), rows)
    if any(check.state == "fail" for check in checks):
        raise typer.Exit(1)
