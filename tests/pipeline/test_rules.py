from __future__ import annotations

from pathlib import Path

import pytest

from ftcore.errors import GateChanged, UsageError
from ftcore.evaluation import own_metrics
from ftcore.evaluation.gate.rules import compared_digest, rules_of
from ftcore.ledger import GATE_RULES, Ledger
from ftcore.pipeline.rules import approve_rules, differences, record_rules, rules_in_force
from ftcore.spec import FineTuneSpec, GateSpec, load_spec


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


@pytest.mark.parametrize(
    "section",
    ["evaluation: {must_pass: rows.jsonl}", "task: instruction\nevaluation: {probes: {canaries: rows.jsonl}}"],
)
def test_another_content_of_a_file_that_decides_is_another_rule(ledger: Ledger, tmp_path: Path, section: str) -> None:
    (tmp_path / "spec.yaml").write_text(f"name: tiny\nbase_model: {{name: none}}\n{section}\n")
    rows = tmp_path / "rows.jsonl"
    rows.write_text("one\n")
    spec = load_spec(tmp_path / "spec.yaml")
    assert spec.root == tmp_path
    record_rules(spec, ledger, "ada")
    record_rules(spec, ledger, "ada")
    rows.write_text("easier\n")
    with pytest.raises(GateChanged) as caught:
        record_rules(spec, ledger, "eve")
    (line,) = caught.value.details
    assert line.startswith("files.") and len(line) < 60
    rows.unlink()
    with pytest.raises(GateChanged, match="record") as caught:
        record_rules(spec, ledger, "eve")
    assert caught.value.details[0].endswith("-> missing")


def test_another_code_of_an_own_metric_is_another_rule(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of(evaluation={"metrics": ["politeness"]})
    monkeypatch.setattr(own_metrics, "identity", lambda names: {"politeness": ["1.0", "a" * 64]})
    record_rules(spec, ledger, "ada")
    monkeypatch.setattr(own_metrics, "identity", lambda names: {"politeness": ["1.1", "b" * 64]})
    with pytest.raises(GateChanged) as caught:
        record_rules(spec, ledger, "eve")
    assert caught.value.details == (f"files.metrics.politeness: 1.0 {'a' * 12} -> 1.1 {'b' * 12}",)


def test_a_spec_that_names_no_files_has_no_rules_about_any() -> None:
    assert rules_of(SPEC) == SPEC.gate_rules  # so rules from before files were among them are still the same


def test_what_is_compared_has_a_digest_without_the_thresholds(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("one\n")
    pinned = spec_of(evaluation={"must_pass": str(tmp_path / "rows.jsonl")})
    before = compared_digest(pinned)
    for gate in (
        GateSpec(margin=0.2),
        GateSpec(max_latency_ms=5),
        GateSpec(probe_guards={"forgetting.bits_per_byte": 0.1}),
    ):
        assert compared_digest(pinned.model_copy(update={"gate": gate})) == before  # or no evaluation would ever fit
    (tmp_path / "rows.jsonl").write_text("two\n")
    others = [compared_digest(spec) for spec in (pinned, SPEC, spec_of(evaluation={"baselines": ["majority"]}))]
    assert len({before, *others}) == 4


@pytest.mark.parametrize("sections", [{"leakage": {"max_leaked": 1.0}}, {"data": {"test_fraction": 0.3}},
                                      {"data": {"files": {"train": "a.csv", "test": "b.csv"}}},
                                      {"prepare": {"max_chars": 60}}, {"validation": {"max_quarantined": 0.9}},
                                      {"prepare": {"personal_data": "quarantine"}}])  # fmt: skip
def test_which_rows_are_the_holdout_is_a_rule(ledger: Ledger, sections: dict[str, object]) -> None:
    record_rules(SPEC, ledger, "ada")
    record_rules(spec_of(data={"rev": "v2", "path": "elsewhere"}), ledger, "ada")  # another version of the data
    record_rules(spec_of(prepare={"augment": {"methods": ["typo"]}}), ledger, "ada")  # training rows alone
    with pytest.raises(GateChanged):
        record_rules(spec_of(**sections), ledger, "eve")
