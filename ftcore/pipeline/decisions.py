"""Decisions on record: a holdout that is asked often enough says yes to something, so every verdict is a look at its rows."""

from __future__ import annotations

import json

from ftcore.evaluation.outputs import HOLDOUT
from ftcore.ledger import GATE_DECISION, Event, Ledger
from ftcore.pipeline.references import champion_ref
from ftcore.pipeline.rules import rule_changes
from ftcore.records import Evaluation, Standing, Verdict
from ftcore.spec import FineTuneSpec
from ftcore.store import Store


def standing(spec: FineTuneSpec, ledger: Ledger, store: Store, evaluation: Evaluation) -> Standing:
    """What the ledger says about a candidate that is about to be judged."""
    champion = champion_ref(spec, ledger, evaluation.candidate_digest)
    return Standing(
        look=_look(ledger.events(kinds=(GATE_DECISION,)), evaluation, holdout_sketch(store, evaluation)),
        rule_changes=tuple(rule_changes(spec, ledger)),
        champion_digest=champion.model_digest if champion else None,
        champion_seq=champion.seq if champion else 0,
    )


def _look(decisions: list[Event], evaluation: Evaluation, sketch: list[str]) -> int:
    """Which look at these rows it will be, counting those of every spec: another name for the pipeline makes no row fresh.

    A decision that is taken again tells nothing new, and running a finished pipeline again finds every output of the first
    time: what was decided on from this candidate's own decision on these rows on is left out.
    """
    from ftcore.evaluation.gate.looks import look_at, shared_share

    shares: dict[str, float] = {}
    for event in decisions:
        candidate, earlier = event.payload["candidate"], event.payload["holdout"]
        if candidate == evaluation.candidate_digest and earlier == sketch:
            break
        shares[candidate] = max(shares.get(candidate, 0.0), shared_share(sketch, earlier))
    return look_at(shares.values())


def holdout_sketch(store: Store, evaluation: Evaluation) -> list[str]:
    """Which rows an evaluation is about, as `evaluate` wrote it down; empty where it was refused before that."""
    path = store.resolve(evaluation.uri) / HOLDOUT
    sketch: list[str] = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.is_file() else []
    return sketch


def record_decision(
    spec_name: str, verdict: Verdict, evaluation: Evaluation, ledger: Ledger, store: Store, actor: str
) -> None:
    """Count a verdict, whatever it says; once. One that faults prevented has looked at nothing and is not counted."""
    if not verdict.looked:
        return
    if any(event.payload["verdict"] == verdict.digest for event in ledger.events(spec_name, (GATE_DECISION,))):
        return
    payload = {
        "verdict": verdict.digest, "outcome": verdict.outcome, "reasons": list(verdict.reasons), "uri": verdict.uri,
        "candidate": verdict.candidate_digest,
        "champion": verdict.champion_digest, "gate": verdict.gate_digest, "look": verdict.look,
        "evaluation": evaluation.uri, "test_digest": verdict.test_digest, "holdout": holdout_sketch(store, evaluation),
    }  # fmt: skip
    ledger.append(GATE_DECISION, spec_name, payload, actor)
