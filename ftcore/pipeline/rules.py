"""Rules on record. A gate that may be changed after its verdict is known decides nothing.

So what decides a promotion is in the ledger before a training begins, and other rules need a person who says why.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ftcore.errors import GateChanged, UsageError
from ftcore.evaluation.gate.rules import FILES, rules_digest, rules_of
from ftcore.ledger import GATE_RULES, Event, Ledger
from ftcore.spec import FineTuneSpec

_SHOWN_CHARS = 12
_NONE = "none are on record under this name"


def rules_in_force(ledger: Ledger, spec_name: str) -> Event | None:
    """The newest rules on record: payload `digest`, `rules`, `because`."""
    return next(iter(ledger.events(spec_name, (GATE_RULES,), limit=1, newest_first=True)), None)


def rule_changes(spec: FineTuneSpec, known: Event | None) -> list[str]:
    """How the spec's rules differ from those in force (`rules_in_force`), line by line."""
    return [_NONE] if known is None else list(differences(known.payload["rules"], rules_of(spec)))


def record_rules(spec: FineTuneSpec, ledger: Ledger, actor: str) -> None:
    """Before a training: the rules of the first one go on record; later ones must be those.

    Raises:
        GateChanged: The spec's rules are others. Every difference is listed.
    """
    known = rules_in_force(ledger, spec.name)
    if known is None:
        ledger.append(GATE_RULES, spec.name, _payload(spec, "first training"), actor)
    elif changes := rule_changes(spec, known):
        raise GateChanged(
            f"What decides a promotion of {spec.name} is not what the ledger has on record since {known.at} ({known.actor}):",
            details=changes,
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
    if known is not None and not rule_changes(spec, known):
        return False
    ledger.append(GATE_RULES, spec.name, _payload(spec, because.strip()), actor)
    return True


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """One line per field that differs: `gate.margin: 0.005 -> 0.05`."""
    for section in sorted(old.keys() | new.keys()):
        before, after = old.get(section, {}), new.get(section, {})
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                yield f"{section}.{name}: {_shown(section, before.get(name))} -> {_shown(section, after.get(name))}"


def _shown(section: str, value: Any) -> str:
    if section == FILES and value is not None:  # version and SHA-256, or SHA-256 alone
        return " ".join(part[:_SHOWN_CHARS] for part in value.split())
    return json.dumps(value)


def _payload(spec: FineTuneSpec, because: str) -> dict[str, Any]:
    return {"digest": rules_digest(spec), "rules": rules_of(spec), "because": because}
