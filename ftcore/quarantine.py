"""Rows that were set aside, and which of them a person may let back in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftcore.errors import UsageError
from ftcore.ledger import Ledger
from ftcore.pipeline import run_pipeline
from ftcore.spec import FineTuneSpec
from ftcore.store import Store


@dataclass(frozen=True)
class Held:
    """The quarantine of one data version."""

    spec: str
    rows: tuple[Mapping[str, str], ...]
    """{id, split, reason} of every row set aside."""
    releasable: Mapping[str, Mapping[str, str]]
    """Id -> {id, digest, reason}, for rows set aside for what a rule thinks of their content. A row that is empty, unreadable,
    repeated, contradictory or leaked cannot be let in by anybody's word."""
    report: Path | None = None
    """Page on which examples of the rows can be read; None: validation made none."""
    released: tuple[Mapping[str, Any], ...] = ()
    """Past releases, a row each: {id, reason, because, actor, at, event, used}. used: the row is in this data version as it was
    then; a row that has changed since has to be released anew."""

    @property
    def reasons(self) -> list[str]:
        """Why rows are set aside, sorted."""
        return sorted({row["reason"] for row in self.rows})

    def choose(self, ids: Sequence[str], reason: str | None) -> list[Mapping[str, str]]:
        """The rows to release.

        Args:
            ids: Rows by id.
            reason: All rows set aside for this reason, besides.

        Raises:
            UsageError: Nothing is named, or a row is not set aside or cannot be released; all of them are listed.
        """
        there = {row["id"]: row["reason"] for row in self.rows}
        faults = [
            f"{row_id}: set aside for {there[row_id]}, which no release can mend"
            if row_id in there
            else f"{row_id}: not in quarantine"
            for row_id in dict.fromkeys(ids)
            if row_id not in self.releasable
        ]
        chosen = {row_id: self.releasable[row_id] for row_id in ids if row_id in self.releasable}
        chosen |= {row_id: row for row_id, row in self.releasable.items() if reason and row["reason"] == reason}
        if reason and not any(row["reason"] == reason for row in self.releasable.values()):
            known = ", ".join(sorted({row["reason"] for row in self.releasable.values()})) or "none"
            faults.append(f"reason {reason!r}: no such row can be released; reasons: {known}")
        if not ids and not reason:
            faults.append("no row is named")
        if faults:
            raise UsageError("Cannot release:", details=faults, hint="ftcore quarantine list SPEC")
        return list(chosen.values())


def held_rows(spec: FineTuneSpec, store: Store, ledger: Ledger, rev: str | None = None) -> Held:
    """What validate and prepare set aside in the data version (they run if they have not)."""
    from ftcore.data.preparing import PERSONAL_DATA
    from ftcore.data.reading import read_jsonl, read_splits
    from ftcore.data.rows import row_digest

    records = {step.stage: step.record for step in run_pipeline(spec, store, ledger, last="prepare", rev=rev)}
    uris = {stage: getattr(record, "uri", "") for stage, record in records.items()}
    page = getattr(records["validate"], "report_uri", None)
    files = store.resolve(uris["ingest"]) / "files"
    splits = read_splits(files, spec.data, task=spec.task, set_aside=[])
    found = {row["id"]: (split, row) for split, rows in splits.items() for row in rows}
    judged = json.loads((store.resolve(uris["validate"]) / "set_aside.json").read_text(encoding="utf-8"))
    rows = [{"id": row_id, "split": found[row_id][0], "reason": reason} for row_id, reason in judged.items()]
    if "prepare" in uris:  # it did not run if validate refused the set
        prepared: list[dict[str, Any]] = read_jsonl(store.resolve(uris["prepare"]) / "quarantine.jsonl")
        rows += [
            {"id": row["id"], "split": row["split"], "reason": row["reason"]}
            for row in prepared
            if row["id"] not in judged
        ]
    releasable = {
        row["id"]: {"id": row["id"], "digest": row_digest(found[row["id"]][1]), "reason": row["reason"]}
        for row in rows
        if row["id"] in judged or (row["reason"] == PERSONAL_DATA and row["id"] in found)
    }
    there = {row_digest(row) for _, row in found.values()}
    released = tuple(
        {
            "id": row["id"], "reason": row["reason"], "because": event.payload["because"], "actor": event.actor,
            "at": event.at, "event": event.seq, "used": row["digest"] in there,
        }
        for event in ledger.releases(spec.name)
        for row in event.payload["rows"]
    )  # fmt: skip
    return Held(spec.name, tuple(rows), releasable, store.resolve(page) if page else None, released)
