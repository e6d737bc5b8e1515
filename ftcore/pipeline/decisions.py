"""Decisions on record: a holdout that is asked often enough says yes to something, so every answer it gives is a look at it."""

from __future__ import annotations

import json

from ftcore.evaluation.gate.rules import compared_digest, rules_digest
from ftcore.evaluation.outputs import HOLDOUT
from ftcore.ledger import GATE_DECISION, HOLDOUT_SCORED, Event, Ledger
from ftcore.pipeline.references import champion_ref
from ftcore.pipeline.rules import rule_changes, rules_in_force
from ftcore.records import Evaluation, Standing, Verdict
from ftcore.spec import FineTuneSpec
from ftcore.store import Store


def standing(spec: FineTuneSpec, ledger: Ledger, store: Store, evaluation: Evaluation) -> Standing:
    """What the ledger says about a candidate that is about to be judged."""
    champion = champion_ref(spec, ledger, evaluation.candidate_digest)
    return Standing(
        look=_look(
            ledger.events(kinds=(HOLDOUT_SCORED, GATE_DECISION)), evaluation, holdout_sketch(store, evaluation), spec
        ),
        rule_changes=tuple(rule_changes(spec, rules_in_force(ledger, spec.name))),
        champion_digest=champion.model_digest if champion else None,
        champion_seq=champion.seq if champion else 0,
        compared_digest=compared_digest(spec),
        rules_digest=rules_digest(spec),
    )


def _look(events: list[Event], evaluation: Evaluation, sketch: list[str], spec: FineTuneSpec) -> int:
    """Which look at these rows it will be, counting those of every spec: another name for the pipeline makes no row fresh.

    A candidate whose scores against a champion were made is a look, decided on or not; so is the same pair under other rules.
    A decision that is taken again tells nothing new, and running a finished pipeline again finds every output of the first
    time: what came after this very decision is left out.
    """
    from ftcore.evaluation.gate.looks import look_at, shared_share

    rules = rules_digest(spec)
    own = (evaluation.candidate_digest, evaluation.champion_digest)
    shares: dict[tuple[str, str | None], float] = {}
    gates: dict[tuple[str, str | None], set[str]] = {}
    for event in events:
        pair, earlier = (event.payload["candidate"], event.payload["champion"]), event.payload["holdout"]
        gate = event.payload.get("gate")
        if (pair, earlier, gate) == (own, sketch, rules):
            break
        shares[pair] = max(shares.get(pair, 0.0), shared_share(sketch, earlier))
        gates.setdefault(pair, set()).update({gate} if gate else ())
    return look_at(
        share * (len(gates[pair]) if pair == own else max(1, len(gates[pair]))) for pair, share in shares.items()
    )


def holdout_sketch(store: Store, evaluation: Evaluation) -> list[str]:
    """Which rows an evaluation is about, as `evaluate` wrote it down; empty where it was refused before that."""
    path = store.resolve(evaluation.uri) / HOLDOUT
    sketch: list[str] = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.is_file() else []
    return sketch


def record_scored(spec_name: str, evaluation: Evaluation, ledger: Ledger, store: Store, actor: str) -> None:
    """Count that a candidate's scores can be seen from now on; once for each champion and holdout."""
    if not evaluation.models:
        return
    payload = {
        "candidate": evaluation.candidate_digest, "champion": evaluation.champion_digest, "evaluation": evaluation.uri,
        "test_digest": evaluation.test_digest, "holdout": holdout_sketch(store, evaluation),
    }  # fmt: skip
    told = ("candidate", "champion", "holdout")
    if not any(
        all(event.payload[name] == payload[name] for name in told)
        for event in ledger.events(spec_name, (HOLDOUT_SCORED,))
    ):
        ledger.append(HOLDOUT_SCORED, spec_name, payload, actor)


def record_decision(
    spec_name: str, verdict: Verdict, evaluation: Evaluation, ledger: Ledger, store: Store, actor: str
) -> None:
    """Put a verdict on record, whatever it says; once. One that faults prevented is none."""
    if not verdict.looked:
        return
    if any(event.payload["verdict"] == verdict.digest for event in ledger.events(spec_name, (GATE_DECISION,))):
        return
    payload = {
        "verdict": verdict.digest, "outcome": verdict.outcome, "reasons": list(verdict.reasons), "uri": verdict.uri,
        "candidate": verdict.candidate_digest,
        "champion": verdict.champion_digest, "gate": verdict.rules_digest, "look": verdict.look,
        "evaluation": evaluation.uri, "test_digest": verdict.test_digest, "holdout": holdout_sketch(store, evaluation),
    }  # fmt: skip
    ledger.append(GATE_DECISION, spec_name, payload, actor)
