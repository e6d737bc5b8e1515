"""Finds the error report of a run in the store, without the libraries that made it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftcore.errors import UsageError
from ftcore.store import MANIFEST, Manifest, Store

DATA, PAGE = "analysis.json", "report.html"


@dataclass(frozen=True)
class Found:
    """A report in the store."""

    page: Path
    data: Path
    spec: str
    verdict: str
    candidate_digest: str
    num_rows: int
    num_faults: int

    def to_dict(self) -> dict[str, Any]:
        return {name: str(value) if isinstance(value, Path) else value for name, value in vars(self).items()}


def find_report(store: Store, spec: str, model: str | None = None) -> Found:
    """The newest report of a spec, verified against its manifest.

    Args:
        model: Digest of a candidate, or its beginning; None: any.

    Raises:
        UsageError: There is none; or none of that model.
        IntegrityError: It does not match its manifest.
    """
    found = sorted(
        (store.root / "stages" / "judge").glob(f"*/{MANIFEST}"), key=lambda path: path.stat().st_mtime, reverse=True
    )
    seen: dict[str, None] = {}
    for manifest in found:
        item = _read(manifest.parent)
        if item is None or item.spec != spec:
            continue
        if model is None or item.candidate_digest.startswith(model):
            Manifest.read(manifest.parent).verify(manifest.parent)
            return item
        seen[item.candidate_digest[:12]] = None
    if seen:
        raise UsageError(f"No report of {spec} is about a model {model}; newest: {', '.join([*seen][:5])}.")
    raise UsageError(f"No report of {spec} under {store.root}.", hint="ftcore run SPEC")


def _read(folder: Path) -> Found | None:
    """None where a folder holds no readable report: an older output, or one of another version."""
    try:
        report = json.loads((folder / DATA).read_text(encoding="utf-8"))
        return Found(
            page=folder / PAGE, data=folder / DATA, spec=str(report["spec"]), verdict=str(report["verdict"]["verdict"]),
            candidate_digest=str(report["verdict"]["candidate_digest"]), num_rows=int(report["num_rows"]),
            num_faults=len(report["faults"]),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return None
