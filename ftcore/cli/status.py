"""`ftcore status`: what runs, the champions, where to look."""

from __future__ import annotations

from typing import Any

from ftcore.cli._output import JsonFlag, print_json, print_line, print_table
from ftcore.stack.control import status as stack_status
from ftcore.store import ftcore_home


def status(json: JsonFlag = False) -> None:
    """Show the services with their memory, the champions and the open retrain requests."""
    home = ftcore_home()
    answer = stack_status(home) | {"champions": _champions()}
    if json:
        print_json(answer)
        return
    if answer["services"]:
        rows = [
            (name, "running" if row["alive"] else "DEAD", row["pid"], row["memory_mib"], row["log"])
            for name, row in answer["services"].items()
        ]
        print_table(f"Stack under {home}", ("service", "state", "pid", "memory MiB", "log"), rows)
        for name, url in answer["urls"].items():
            print_line(f"{name:8} {url}")
    else:
        print_line(f"No stack is running under {home}. Start one with: ftcore up")
    columns = ("spec", "champion", "since", "package", "open request")
    rows_of = [[row[key] for key in ("spec", "model", "since", "package", "request")] for row in answer["champions"]]
    print_table("Champions", columns, rows_of)


def _champions() -> list[dict[str, Any]]:
    from ftcore.ledger import open_ledger

    if not (ftcore_home() / "ledger.db").exists():
        return []
    ledger = open_ledger()
    rows = []
    for head in ledger.heads():
        request = ledger.request(head.spec)
        rows.append(
            {
                "spec": head.spec,
                "model": head.model_digest,
                "since": str(head.since),
                "package": head.package_uri,
                "request": None if request is None else request.reason,
            }
        )
    return rows
