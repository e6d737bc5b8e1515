"""Where a person finds what the loop left behind."""

from __future__ import annotations

from pathlib import Path

from ftcore.ledger import open_ledger
from ftcore.stack.control import load_stack


def where_to_look(home: Path, spec: str) -> list[tuple[str, str]]:
    """(what, address or path) of pages, reports and commands, newest results first; only what exists is listed."""
    places: list[tuple[str, str]] = []
    stack = load_stack(home)
    if stack is not None:
        user = stack.credentials[0]
        places += [
            (
                "Airflow, with the ftcore page",
                f"{stack.url('airflow')}  (user {user}, password in {home}/run/airflow_passwords.json)",
            ),
            ("MLflow", stack.url("mlflow")),
            ("ftcore server", f"{stack.url('server')}/docs"),
        ]
    found = {
        "Data Docs": sorted((home / "stages" / "validate").glob("*/docs/index.html"), key=_age),
        "verdict": sorted((home / "stages" / "judge").glob("*/verdict.md"), key=_age),
        "error report": sorted((home / "stages" / "judge").glob("*/report.html"), key=_age),
        "drift report": sorted((home / "stages" / "monitor").glob("*/report.html"), key=_age),
        "Evidently page": sorted((home / "stages" / "monitor").glob("*/evidently.html"), key=_age),
    }
    places += [(what, str(paths[-1])) for what, paths in found.items() if paths]
    if (home / "alerts.log").is_file():
        places.append(("alerts", str(home / "alerts.log")))
    if open_ledger().head(spec):
        places.append(("the champion's history", f"ftcore champion history dags/specs/{spec}.yaml"))
    places.append(("why this model", f"ftcore audit why {spec}"))
    return places


def _age(path: Path) -> float:
    return path.stat().st_mtime
