"""The ftcore page: every spec with its champion, last verdict, last drift decision and open request, as HTML.

Reads the ledger only. Everything shown is escaped by Jinja; links lead to Airflow, MLflow and report files of the store.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, Template

from ftcore.errors import IntegrityError
from ftcore.ledger import GATE_DECISION, Event, Head, Ledger
from ftcore.records import RetrainRequest
from ftcore.store import Store

REPORT_SUFFIXES = frozenset({".html", ".json", ".md", ".css", ".js", ".png", ".svg", ".txt", ".woff", ".woff2"})


@dataclass(frozen=True)
class Overview:
    """One spec as the ledger has it."""

    spec: str
    champion: Head | None
    promotions: int
    run: Event | None
    """Newest finished run."""
    verdict: dict[str, Any] | None
    """Outcome and reasons of the newest verdict, when it was (`at`), and where its reports are (`uri`, None: not known)."""
    drift: Event | None
    request: RetrainRequest | None

    @property
    def dag_id(self) -> str:
        return f"continuous_finetuning__{self.spec}"

    @property
    def mlflow_url(self) -> str | None:
        """The registered model's page, where MLflow is a server."""
        address = os.environ.get("MLFLOW_TRACKING_URI", "")
        return f"{address.rstrip('/')}/#/models/{self.spec}" if address.startswith("http") else None


def overviews(ledger: Ledger, spec_names: Iterable[str]) -> list[Overview]:
    """The named specs and all that have a champion, sorted."""
    heads = {head.spec: head for head in ledger.heads()}
    return [_overview(ledger, name, heads.get(name)) for name in sorted({*spec_names, *heads})]


def _overview(ledger: Ledger, spec: str, champion: Head | None) -> Overview:
    def newest(*kinds: str) -> Event | None:
        return next(iter(ledger.events(spec, kinds=kinds, limit=1, newest_first=True)), None)

    return Overview(
        spec=spec,
        champion=champion,
        promotions=len(ledger.history(spec)),
        run=newest("run_finished"),
        verdict=_newest_verdict(ledger, spec),
        drift=newest("drift.decision"),
        request=ledger.request(spec),
    )


def _newest_verdict(ledger: Ledger, spec: str) -> dict[str, Any] | None:
    """From the run's end, the promotion or the decision, whichever was last: a run by hand has no end in the ledger, and a
    verdict that faults prevented is no decision."""
    kinds = ("run_finished", "promotion_evidence", GATE_DECISION)
    for event in ledger.events(spec, kinds=kinds, limit=20, newest_first=True):
        told = event.payload if event.kind == GATE_DECISION else event.payload.get("verdict")
        if told:
            return {
                "outcome": told["outcome"],
                "reasons": told.get("reasons", ()),
                "uri": told.get("uri"),
                "at": event.at,
            }
    return None


def render(rows: Iterable[Overview], prefix: str) -> str:
    """The page; `prefix` is where it is mounted (`/ftcore`), report files lie under `prefix`/files/."""
    return _template().render(rows=list(rows), prefix=prefix.rstrip("/"))


@cache
def _template() -> Template:
    return Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True).get_template("page.html")


def report_file(store: Store, uri: str) -> Path | None:
    """A report in the store that may be shown; None for anything else (data rows, secrets, paths that climb out)."""
    try:
        path = store.resolve(uri)
    except IntegrityError:
        return None
    inside = path.relative_to(store.root.resolve())
    allowed = inside.parts[:1] == ("stages",) and path.suffix in REPORT_SUFFIXES
    return path if allowed and path.is_file() else None
