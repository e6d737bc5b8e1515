"""Reviews by people: what is drawn and what comes back are events of the ledger."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ftcore.data.reading import write_jsonl
from ftcore.errors import UsageError
from ftcore.evaluation.llm_judge.labels import labelled_pairs
from ftcore.evaluation.review import Pair, Reviewed, read_choices, sample_pairs, summary, weigh
from ftcore.evaluation.review_page import write_review
from ftcore.ledger import GATE_DECISION, Event, Ledger
from ftcore.store import Store, make_folder

MADE, RECORDED = "review_made", "review_recorded"


def make_review(
    spec_name: str, ledger: Ledger, store: Store, folder: Path, num_pairs: int, actor: str
) -> dict[str, Any]:
    """Draw pairs of the newest decision and write them into a new folder.

    Returns:
        `review` (its name), `num_pairs`, and of the decision `candidate`, `champion`, `outcome` and when it was (`at`).

    Raises:
        UsageError: Nothing was decided yet, or the folder is there already.
        DataRefused: There is no champion to compare with, or both models answer alike.
    """
    decision = _newest(ledger, spec_name, GATE_DECISION)
    if decision is None:
        raise UsageError(f"Nothing was decided on {spec_name} yet.", hint="ftcore run SPEC --to judge")
    if folder.exists():
        raise UsageError(f"{folder} is there already; wanted a new folder.", hint="--out FOLDER")
    evaluated, seed = decision.payload["evaluation"], secrets.randbits(32)
    pairs = sample_pairs(store.resolve(evaluated), num_pairs, seed)
    name = secrets.token_hex(4)
    make_folder(folder)
    write_review(folder, name, spec_name, pairs)
    payload = {
        "review": name, "evaluation": evaluated, "verdict": decision.payload["verdict"], "seed": seed, "num_pairs": num_pairs,
        "candidate": decision.payload["candidate"], "champion": decision.payload["champion"],
    }  # fmt: skip
    ledger.append(MADE, spec_name, payload, actor)
    of = {key: decision.payload[key] for key in ("candidate", "champion", "outcome")}
    return {"review": name, "num_pairs": len(pairs), **of, "at": decision.at}


def record_review(
    spec_name: str, ledger: Ledger, store: Store, files: Sequence[Path], actor: str, labels: Path | None = None
) -> Reviewed:
    """Count what reviewers chose in the newest review, and put it into the ledger.

    The event names the sheets by their files, so that it can be seen whose they were.

    Args:
        labels: New file for the pairs with what most reviewers chose: what an LLM judge is held against.

    Raises:
        UsageError: There is no review, the files have faults (all are listed), or `labels` is there already.
    """
    if labels is not None and labels.exists():
        raise UsageError(f"{labels} is there already; wanted a new file.", hint="--labels FILE")
    made = _newest(ledger, spec_name, MADE)
    if made is None:
        raise UsageError(f"There is no review of {spec_name}.", hint="ftcore review make SPEC")
    pairs = _pairs(made, store)
    choices = read_choices(files, made.payload["review"], len(pairs))
    seen = weigh(pairs, choices)
    if labels is not None:
        write_jsonl(labels, labelled_pairs(pairs, choices))
    kept = ("review", "verdict", "candidate", "champion")
    payload = {**{name: made.payload[name] for name in kept}, **asdict(seen), "sheets": [path.stem for path in files]}
    ledger.append(RECORDED, spec_name, payload, actor)
    return seen


def recorded_reviews(spec_name: str, ledger: Ledger) -> dict[str, list[str]]:
    """What reviewers found, in words, by the digest of the verdict; of a review that was counted again the newest count."""
    found: dict[str, dict[str, str]] = {}
    for event in ledger.events(spec_name, (RECORDED,)):
        seen = Reviewed(**{field.name: event.payload[field.name] for field in fields(Reviewed)})
        name = event.payload["review"]
        found.setdefault(event.payload["verdict"], {})[name] = f"review {name}: {summary(seen)}"
    return {verdict: list(told.values()) for verdict, told in found.items()}


def _pairs(made: Event, store: Store) -> list[Pair]:
    return sample_pairs(store.resolve(made.payload["evaluation"]), made.payload["num_pairs"], made.payload["seed"])


def _newest(ledger: Ledger, spec_name: str, kind: str) -> Event | None:
    return next(iter(ledger.events(spec_name, (kind,), limit=1, newest_first=True)), None)
