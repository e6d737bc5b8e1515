"""Answer for one model: which rows, base model, code, settings, metrics, verdict and person put it into production."""

from __future__ import annotations

from typing import Any

from ftcore.errors import IntegrityError, UsageError
from ftcore.ledger import Event, Ledger
from ftcore.records import Promotion
from ftcore.registry.package import read_lineage
from ftcore.registry.promotion import EVIDENCE
from ftcore.store import Store

_MIN_DIGEST = 6


def why(target: str, ledger: Ledger, store: Store) -> dict[str, Any]:
    """Everything the ledger and the package say about a model.

    Args:
        target: A spec's name (its champion), or a model digest or its beginning (at least 6 characters).

    Returns:
        JSON-ready: model_digest, spec, status, data, base_model, started_from, code, environment, settings, training,
        metrics, verdict, promotions (who, when, why).

    Raises:
        UsageError: No champion, past or present, fits `target`.
        IntegrityError: The package's lineage is missing or damaged.
    """
    spec, digest = _find(target, ledger)
    head = ledger.head(spec)
    is_champion = head is not None and head.model_digest == digest
    [promotion] = [item for item in ledger.history(spec) if item.model_digest == digest][-1:]
    lineage = read_lineage(store.resolve(promotion.package_uri))
    records = lineage["records"]
    events = [
        event
        for event in ledger.events(spec, kinds=("promotion_prepared", "promotion_committed", "promotion_applied"))
        if event.payload.get("model_digest") == digest
    ]
    return {
        "model_digest": digest,
        "spec": spec,
        "status": f"champion since {head.since}" if is_champion and head is not None else "was champion before",
        "package": promotion.package_uri,
        "data": {
            name: records["ingest"][name]
            for name in ("repo", "rev", "path", "manifest_digest", "num_files", "num_bytes")
        },
        "prepared": {
            name: records["prepare"][name] for name in ("content_digest", "test_digest", "num_rows", "num_quarantined")
        },
        "base_model": lineage["base_model"],
        "started_from": lineage.get("started_from"),
        "code": lineage["code"],
        "environment": {name: lineage["environment"][name] for name in ("python", "digest")},
        "settings": lineage["training_depended_on"].get("spec", {}),
        "training": {
            name: records["train"][name]
            for name in ("method", "device", "precision", "num_steps", "num_epochs", "best_validation_loss", "train_s")
        },
        "metrics": {model["role"]: _metrics(model) for model in records["evaluate"]["models"]},
        "verdict": _verdict(ledger, spec, promotion),
        "promotions": [_moment(event) for event in events if event.kind == "promotion_committed"],
        "approver": next(event.actor for event in reversed(events) if event.kind == "promotion_committed"),
    }


def _find(target: str, ledger: Ledger) -> tuple[str, str]:
    head = ledger.head(target)
    if head is not None:
        return target, head.model_digest
    events = ledger.events(kinds=("promotion_committed",))
    found = {
        (event.spec, str(event.payload["model_digest"]))
        for event in events
        if len(target) >= _MIN_DIGEST and str(event.payload["model_digest"]).startswith(target)
    }
    if len(found) == 1:
        return found.pop()
    specs = ", ".join(head.spec for head in ledger.heads()) or "none yet"
    seen = "no champion, past or present" if not found else f"{len(found)} champions"
    message = f"{target!r} fits {seen}; wanted a spec's name or a model digest ({_MIN_DIGEST} characters or more)."
    raise UsageError(message, hint="ftcore status", details=(f"specs with a champion: {specs}",))


def _metrics(model: dict[str, Any]) -> dict[str, Any]:
    return {item["name"]: {key: item[key] for key in ("value", "ci_low", "ci_high", "n")} for item in model["metrics"]}


def _verdict(ledger: Ledger, spec: str, promotion: Promotion) -> dict[str, Any]:
    """The verdict this model was promoted on, from the chain (a package holds only the first one)."""
    for event in ledger.events(spec, kinds=(EVIDENCE,), newest_first=True):
        if event.payload["digest"] == promotion.verdict_digest:
            verdict = event.payload["verdict"]
            break
    else:
        raise IntegrityError(
            f"The ledger lacks the verdict {promotion.verdict_digest[:12]} of {spec}.", hint="ftcore audit verify"
        )
    names = ("outcome", "reasons", "metrics", "champion_digest", "test_digest", "gate_digest")
    return {"digest": promotion.verdict_digest, **{name: verdict[name] for name in names}}


def _moment(event: Event) -> dict[str, Any]:
    payload = event.payload
    return {
        "event": event.seq, "at": event.at, "actor": event.actor, "intent": payload["intent"],
        "reason": payload["reason"], "replaced": payload["previous_digest"],
    }  # fmt: skip
