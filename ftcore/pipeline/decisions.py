"""Decisions on record: the rules of the gate before a training, and every verdict after it.

A gate that may be changed after its verdict is known decides nothing. So its rules are in the ledger before a training begins,
and other rules need a person who says why. A holdout that is asked often enough says yes to something. So every verdict counts
as a look at its rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ftcore.errors import GateChanged, UsageError
from ftcore.evaluation.outputs import HOLDOUT
from ftcore.ledger import GATE_DECISION, GATE_RULES, Event, Ledger
from ftcore.pipeline.inputs import champion_ref
from ftcore.records import Evaluation, Standing, Verdict
from ftcore.spec import FineTuneSpec
from ftcore.store import Store


def rules_in_force(ledger: Ledger, spec_name: str) -> Event | None:
    """The newest rules on record: payload `digest`, `rules`, `because`."""
    return next(iter(ledger.events(spec_name, (GATE_RULES,), limit=1, newest_first=True)), None)


def record_rules(spec: FineTuneSpec, ledger: Ledger, actor: str) -> None:
    """Before a training: the rules of the first one go on record; later ones must be those.

    Raises:
        GateChanged: The spec's rules are others. Every difference is listed.
    """
    known = rules_in_force(ledger, spec.name)
    if known is None:
        ledger.append(GATE_RULES, spec.name, _payload(spec, "first training"), actor)
    elif known.payload["digest"] != spec.gate_digest:
        raise GateChanged(
            f"What decides a promotion of {spec.name} is not what the ledger has on record since {known.at} ({known.actor}):",
            details=list(differences(known.payload["rules"], spec.gate_rules)),
            hint="put the spec back, or: ftcore gate approve SPEC --because REASON",
        )


def approve_rules(spec: FineTuneSpec, ledger: Ledger, actor: str, because: str) -> bool:
    """Put the spec's rules in force. False: they are already.

    Raises:
        UsageError: No reason is given.
        GateChanged: The rules in force name approvers (where they name none, the spec does), and the actor is none of them: who
            asks does not choose who is to be asked.
    """
    if not because.strip():
        raise UsageError("Other rules want a reason, for those who read the ledger later.", hint="--because REASON")
    known = rules_in_force(ledger, spec.name)
    # Rules from before approval was one of them have no such part.
    in_force = known.payload["rules"].get("approval", {}).get("approvers", []) if known else []
    approvers = in_force or spec.approval.approvers
    if approvers and actor not in approvers:
        raise GateChanged(
            f"{actor} is not among the approvers of {spec.name} (approval.approvers): {', '.join(approvers)}."
        )
    if known is not None and known.payload["digest"] == spec.gate_digest:
        return False
    ledger.append(GATE_RULES, spec.name, _payload(spec, because.strip()), actor)
    return True


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """One line per field that differs: `gate.margin: 0.005 -> 0.05`."""
    for section in sorted(old.keys() | new.keys()):
        before, after = old.get(section, {}), new.get(section, {})
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                yield f"{section}.{name}: {json.dumps(before.get(name))} -> {json.dumps(after.get(name))}"


def _payload(spec: FineTuneSpec, because: str) -> dict[str, Any]:
    return {"digest": spec.gate_digest, "rules": spec.gate_rules, "because": because}


def standing(spec: FineTuneSpec, ledger: Ledger, store: Store, evaluation: Evaluation) -> Standing:
    """What the ledger says about a candidate that is about to be judged."""
    champion = champion_ref(spec, ledger, evaluation.candidate_digest)
    known = rules_in_force(ledger, spec.name)
    return Standing(
        look=_look(ledger.events(spec.name, (GATE_DECISION,)), evaluation, holdout_sketch(store, evaluation)),
        gate_digest=known.payload["digest"] if known else None,
        champion_digest=champion.model_digest if champion else None,
        champion_seq=champion.seq if champion else 0,
    )


def _look(decisions: list[Event], evaluation: Evaluation, sketch: list[str]) -> int:
    """One more than the other candidates that were decided on before this one was, on these rows.

    A decision that is taken again tells nothing new, and running a finished pipeline again finds every output of the first time.
    """
    from ftcore.evaluation.gate.looks import is_same_holdout

    others: set[str] = set()
    for event in decisions:
        if is_same_holdout(sketch, event.payload["holdout"]):
            if event.payload["candidate"] == evaluation.candidate_digest:
                break
            others.add(event.payload["candidate"])
    return 1 + len(others)


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
