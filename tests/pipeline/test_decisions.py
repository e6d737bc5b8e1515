from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from ftcore.errors import GateChanged, UsageError
from ftcore.evaluation.gate.looks import sketch_of
from ftcore.ledger import GATE_DECISION, GATE_RULES, Ledger
from ftcore.pipeline.decisions import (
    approve_rules,
    differences,
    record_decision,
    record_rules,
    rules_in_force,
    standing,
)
from ftcore.records import Evaluation, Verdict
from ftcore.spec import FineTuneSpec
from ftcore.store import Store


def spec_of(**sections: object) -> FineTuneSpec:
    return FineTuneSpec.model_validate({"name": "tiny", "base_model": {"name": "none"}, **sections})


SPEC = spec_of()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


def test_the_first_training_puts_the_rules_on_record_and_later_ones_must_have_them(ledger: Ledger) -> None:
    for _ in range(2):
        record_rules(SPEC, ledger, "ada")
    assert len(ledger.events("tiny")) == 1
    with pytest.raises(GateChanged) as caught:
        record_rules(spec_of(gate={"margin": 0.05}, evaluation={"baselines": ["majority"]}), ledger, "eve")
    assert caught.value.exit_code == 3 and caught.value.details == (
        'evaluation.baselines: ["majority", "nearest_centroid"] -> ["majority"]',
        "gate.margin: 0.005 -> 0.05",
    )
    record_rules(spec_of(training={"epochs": 9}), ledger, "ada")  # no rule of the gate


def test_other_rules_need_a_reason_and_an_approver(ledger: Ledger) -> None:
    record_rules(SPEC, ledger, "ada")
    other = spec_of(gate={"margin": 0.01}, approval={"approvers": ["bo"]})
    with pytest.raises(UsageError, match="reason"):
        approve_rules(other, ledger, "bo", " ")
    with pytest.raises(GateChanged, match="eve is not among the approvers"):
        approve_rules(other, ledger, "eve", "because")
    assert approve_rules(other, ledger, "bo", "half as many rows") is True
    assert approve_rules(other, ledger, "bo", "again") is False
    known = rules_in_force(ledger, "tiny")
    assert known is not None and (known.actor, known.payload["because"]) == ("bo", "half as many rows")
    record_rules(other, ledger, "ada")
    with pytest.raises(GateChanged):
        record_rules(SPEC, ledger, "ada")


def test_who_may_approve_other_rules_is_not_for_the_other_rules_to_say(ledger: Ledger) -> None:
    record_rules(spec_of(approval={"required": True, "approvers": ["ada"]}), ledger, "ada")
    for approvers in (["mallory"], []):
        changed = spec_of(gate={"margin": 0.5}, approval={"approvers": approvers})
        with pytest.raises(GateChanged, match="mallory is not among the approvers of tiny"):
            approve_rules(changed, ledger, "mallory", "because")
    assert approve_rules(spec_of(approval={"approvers": ["bo"]}), ledger, "ada", "I leave the team") is True
    assert approve_rules(spec_of(), ledger, "bo", "a small team") is True


def test_rules_from_before_approval_was_one_of_them_can_be_replaced(ledger: Ledger) -> None:
    old = {section: rules for section, rules in SPEC.gate_rules.items() if section != "approval"}
    ledger.append(GATE_RULES, "tiny", {"digest": "old", "rules": old, "because": "first training"}, "ada")
    with pytest.raises(GateChanged) as caught:
        record_rules(SPEC, ledger, "ada")
    assert caught.value.details[0] == "approval.approvers: null -> []"
    assert approve_rules(SPEC, ledger, "ada", "a new version") is True


@pytest.mark.parametrize(
    "sections",
    [
        {"approval": {"required": True}},
        {"approval": {"four_eyes": False}},
        {"approval": {"approvers": ["eve"]}},
        {"evaluation": {"generation": {"num_examples": 1}}},
        {"evaluation": {"generation": {"format": {"regex": ".*"}}}, "task": "instruction"},
    ],
)
def test_a_rule_left_out_of_a_run_is_another_rule(ledger: Ledger, sections: dict[str, object]) -> None:
    record_rules(spec_of(task=sections.get("task", "classification")), ledger, "ada")
    with pytest.raises(GateChanged):
        record_rules(spec_of(**sections), ledger, "eve")


def test_differences_name_fields_that_only_one_side_has() -> None:
    assert list(differences({"gate": {"old": 1}}, {"gate": {"new": 2}})) == [
        "gate.new: null -> 2",
        "gate.old: 1 -> null",
    ]


def evaluated(store: Store, candidate: str, rows: range) -> Evaluation:
    uri = f"evaluated-{candidate}-{rows.start}"
    (store.root / uri).mkdir(parents=True)
    sketch = sketch_of(hashlib.sha256(str(number).encode()).hexdigest() for number in rows)
    (store.root / uri / "holdout.json").write_text(json.dumps({"rows": sketch}))
    return Evaluation(
        uri=uri, test_digest=f"{rows.start}", num_rows=len(rows), models=(), candidate_digest=candidate, champion_digest=None,
        champion_seq=0,
    )  # fmt: skip


def decide(ledger: Ledger, store: Store, candidate: str, rows: range = range(800), looked: bool = True) -> int:
    """Judge a candidate; which look it was."""
    evaluation = evaluated(store, candidate, rows)
    found = standing(SPEC, ledger, store, evaluation)
    verdict = Verdict(
        uri=f"v-{candidate}-{rows.start}", outcome="FAIL", reasons=("no",), metrics=(), candidate_digest=candidate,
        champion_digest=None, champion_seq=0, evaluation_digest=evaluation.digest, gate_digest=SPEC.gate_digest,
        test_digest=evaluation.test_digest, look=found.look, looked=looked,
    )  # fmt: skip
    for _ in range(2):
        record_decision("tiny", verdict, evaluation, ledger, store, "ada")
    return found.look


def test_every_candidate_decided_on_is_a_look_at_the_rows(ledger: Ledger, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert [decide(ledger, store, name) for name in "abc"] == [1, 2, 3]
    assert len(ledger.events("tiny", (GATE_DECISION,))) == 3  # each was recorded twice
    assert decide(ledger, store, "d", range(80, 880)) == 4  # a tenth of the rows is fresh
    assert decide(ledger, store, "e", range(400, 1200)) == 1  # half of them, against the first three and the fourth
    again = evaluated(store, "b", range(1, 801))
    assert standing(SPEC, ledger, store, again).look == 2  # as the first time: nothing new is learned


def test_a_verdict_that_faults_prevented_is_no_look(ledger: Ledger, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert decide(ledger, store, "a", looked=False) == 1
    assert decide(ledger, store, "b") == 1


def test_the_standing_names_rules_and_champion(ledger: Ledger, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    found = standing(SPEC, ledger, store, evaluated(store, "a", range(300)))
    assert (found.look, found.gate_digest, found.champion_digest, found.champion_seq) == (1, None, None, 0)
    record_rules(SPEC, ledger, "ada")
    assert standing(SPEC, ledger, store, evaluated(store, "b", range(300))).gate_digest == SPEC.gate_digest
