"""Promotion, rollback and reconcile on a real MLflow store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ftcore.errors import FtcoreError, IntegrityError, PromotionRefused, ServiceUnavailable, StaleChampion
from ftcore.ledger import GATE_DECISION, Ledger, open_ledger
from ftcore.records import Evaluation, Promotion, Record, TrainingRun, Verdict
from ftcore.registry import tracking, versions
from ftcore.registry.champions import champions
from ftcore.registry.package import build_package
from ftcore.registry.promotion import promote, rollback
from ftcore.registry.reconcile import reconcile
from ftcore.spec import ApprovalSpec
from ftcore.store import Store
from tests.registry.candidates import candidate, tiny_spec
from tests.standing import given_to_judge

SPEC = tiny_spec()
DOWN = "http://127.0.0.1:9"


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with open_ledger() as opened:
        yield opened


def champion(ledger: Ledger, seed: int) -> Promotion:
    return promote(SPEC, candidate(SPEC, Store(), ledger, seed), ledger, Store(), actor="ada")


def shown() -> str | None:
    found = versions.shown_champion(tracking.connect(), SPEC.name)
    return found.model_digest if found is not None else None


def test_promotion_shows_in_mlflow_and_repeats_as_itself(with_mlflow: Path, ledger: Ledger) -> None:
    records = candidate(SPEC, Store(), ledger, 1)
    done = promote(SPEC, records, ledger, Store(), actor="ada")
    assert (done.state, done.mlflow_version, shown()) == ("APPLIED", "1", records["train"].digest)
    count = len(ledger.events())
    assert promote(SPEC, records, ledger, Store(), actor="ada") == done
    assert len(ledger.events()) == count
    version = tracking.connect().get_model_version(SPEC.name, "1")
    assert version.tags[versions.PROMOTION_TAG] == done.promotion_id
    assert reconcile(ledger, Store(), actor="ada") == []


def test_rollback_goes_back_one_at_a_time_and_alias_follows(with_mlflow: Path, ledger: Ledger) -> None:
    first, second, third = (champion(ledger, seed) for seed in (1, 2, 3))
    assert rollback(SPEC.name, ledger, Store(), actor="ada").model_digest == second.model_digest
    assert rollback(SPEC.name, ledger, Store(), actor="ada").model_digest == first.model_digest == shown()
    with pytest.raises(PromotionRefused, match="has no predecessor"):
        rollback(SPEC.name, ledger, Store(), actor="ada")
    back = rollback(SPEC.name, ledger, Store(), actor="ada", to=third.model_digest[:10])
    assert (back.model_digest, back.state, shown()) == (third.model_digest, "APPLIED", third.model_digest)
    assert [event.payload["intent"] for event in ledger.events(kinds=("promotion_committed",))][3:] == ["rollback"] * 3
    assert ledger.verify().ok


def test_what_was_rolled_back_is_withdrawn_until_somebody_puts_it_back(with_mlflow: Path, ledger: Ledger) -> None:
    _, second, third = (champion(ledger, seed) for seed in (1, 2, 3))
    assert champions(ledger, SPEC.name).withdrawn == {}
    rollback(SPEC.name, ledger, Store(), actor="eve", reason="rude answers")
    rollback(SPEC.name, ledger, Store(), actor="eve", reason="ruder answers")
    withdrawn = champions(ledger, SPEC.name).withdrawn
    assert set(withdrawn) == {second.model_digest, third.model_digest}
    assert (withdrawn[third.model_digest].actor, withdrawn[third.model_digest].reason) == ("eve", "rude answers")
    rollback(SPEC.name, ledger, Store(), actor="ada", to=third.model_digest)
    assert set(champions(ledger, SPEC.name).withdrawn) == {second.model_digest}


def test_a_required_approval_is_one_of_the_approvers(with_mlflow: Path, ledger: Ledger) -> None:
    spec = SPEC.model_copy(update={"approval": ApprovalSpec(required=True, approvers=["ada"])})
    records = candidate(spec, Store(), ledger, 1)
    for nobody, message in ((None, "nobody has given it"), ("eve", "eve is not among the approvers")):
        with pytest.raises(PromotionRefused, match=message):
            promote(spec, records, ledger, Store(), actor="eve", approved_by=nobody)
    assert ledger.head(spec.name) is None
    assert promote(spec, records, ledger, Store(), actor="eve", approved_by="ada").state == "APPLIED"


def test_whoever_started_the_run_may_not_approve_it(with_mlflow: Path, ledger: Ledger) -> None:
    spec = SPEC.model_copy(update={"approval": ApprovalSpec(required=True)})
    records = candidate(spec, Store(), ledger, 1, started_by="eve")
    with pytest.raises(PromotionRefused, match="eve started this run of intents and may not approve it too"):
        promote(spec, records, ledger, Store(), actor="eve", approved_by="eve")
    with pytest.raises(
        PromotionRefused, match="bo started this run"
    ):  # which came to a verdict that eve's run had found
        promote(spec, records, ledger, Store(), actor="bo", approved_by="bo", started_by="bo")
    alone = spec.model_copy(update={"approval": ApprovalSpec(required=True, four_eyes=False)})
    with pytest.raises(PromotionRefused, match="This candidate may not be promoted") as caught:
        promote(alone, records, ledger, Store(), actor="eve", approved_by="eve")
    assert "gate judged by and gate of the spec differ" in str(caught.value), "rules are not changed after the verdict"
    judged = candidate(alone, Store(), ledger, 2)
    assert promote(alone, judged, ledger, Store(), actor="eve", approved_by="eve").state == "APPLIED"


def test_a_verdict_that_was_never_counted_promotes_nothing(with_mlflow: Path, ledger: Ledger) -> None:
    elsewhere = Ledger(f"sqlite:///{with_mlflow / 'other.db'}")
    records = candidate(SPEC, Store(), elsewhere, 1)
    with pytest.raises(PromotionRefused, match="The ledger has not counted this verdict"):
        promote(SPEC, records, ledger, Store(), actor="eve")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"rule_changes": ("gate.margin: 0.5 -> 0.005",)}, "not the one on record (gate.margin: 0.5 -> 0.005)"),
        ({"look": 2}, "judged as look 1, this is 2"),
        ({"compared_digest": "other"}, "the evaluation was made by have changed"),
    ],
)
def test_what_changed_between_verdict_and_promotion_stops_it(
    with_mlflow: Path, ledger: Ledger, change: dict[str, Any], told: str
) -> None:
    records = candidate(SPEC, Store(), ledger, 1)
    evaluation = records["evaluate"]
    assert isinstance(evaluation, Evaluation)
    same = given_to_judge(SPEC, evaluation)["standing"]
    with pytest.raises(PromotionRefused) as caught:
        promote(SPEC, records, ledger, Store(), actor="eve", standing=replace(same, **change))
    assert told in str(caught.value) and ledger.head(SPEC.name) is None
    assert promote(SPEC, records, ledger, Store(), actor="eve", standing=same).state == "APPLIED"
    changed = replace(same, **change)  # what is done is done
    assert promote(SPEC, records, ledger, Store(), actor="eve", standing=changed).state == "APPLIED"


def test_rollback_works_with_mlflow_down_and_reconcile_moves_the_alias(
    with_mlflow: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = champion(ledger, 1), champion(ledger, 2)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DOWN)
    assert rollback(SPEC.name, ledger, Store(), actor="ada").state == "COMMITTED"
    head = ledger.head(SPEC.name)
    assert head is not None
    assert head.model_digest == first.model_digest
    with pytest.raises(ServiceUnavailable, match=f"MLflow at {DOWN} does not answer"):
        reconcile(ledger, Store(), actor="ada")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert shown() == second.model_digest
    assert len(reconcile(ledger, Store(), actor="ada")) == 1
    assert shown() == first.model_digest
    assert ledger.pending_alerts() == []  # nobody changed anything from outside


def test_mlflow_down_changes_nothing(home: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DOWN)
    records = candidate(SPEC, Store(), ledger, 1)
    before = ledger.events()
    with pytest.raises(ServiceUnavailable, match="ftcore up"):
        promote(SPEC, records, ledger, Store(), actor="ada")
    assert (ledger.events(), ledger.head(SPEC.name), (home / "packages").exists()) == (before, None, False)


def test_alias_changed_outside_is_repaired_and_alarmed(with_mlflow: Path, ledger: Ledger) -> None:
    champion(ledger, 1)
    second = champion(ledger, 2)
    client = tracking.connect()
    for change in (
        lambda: client.set_registered_model_alias(SPEC.name, versions.ALIAS, "1"),
        lambda: client.delete_registered_model_alias(SPEC.name, versions.ALIAS),
    ):
        change()
        assert len(reconcile(ledger, Store(), actor="ada")) == 1
        assert shown() == second.model_digest
    assert [alert.title for alert in ledger.pending_alerts()] == ["intents: alias changed outside ftcore"] * 2
    assert reconcile(ledger, Store(), actor="ada") == []
    assert ledger.verify().ok


def test_evidence_that_does_not_fit_is_refused(ledger: Ledger) -> None:
    records = candidate(SPEC, Store(), ledger, 1)
    verdict, training = records["judge"], records["train"]
    assert isinstance(verdict, Verdict)
    assert isinstance(training, TrainingRun)
    cases: list[tuple[dict[str, Record], str]] = [
        (candidate(SPEC, Store(), ledger, 2, outcome="FAIL"), "the verdict is FAIL, wanted PASS"),
        (candidate(SPEC, Store(), ledger, 3, outcome="NOT ENOUGH EVIDENCE"), "the verdict is NOT ENOUGH EVIDENCE"),
        ({**records, "judge": replace(verdict, gate_digest="0" * 64)}, "gate judged by and gate of the spec differ"),
        ({**records, "judge": replace(verdict, reasons=("forged",))}, "the verdict is not the one stored"),
        ({**records, "judge": replace(verdict, champion_seq=7)}, "champion judged and champion evaluated differ"),
        ({**records, "train": replace(training, model_digest="0" * 64)}, "model judged and model trained differ"),
        ({**records, "train": candidate(SPEC, Store(), ledger, 4)["train"]}, "model judged and model trained differ"),
    ]
    for changed, message in cases:
        with pytest.raises(PromotionRefused, match=message):
            promote(SPEC, changed, ledger, Store(), actor="eve")
    assert {event.kind for event in ledger.events()} <= {GATE_DECISION}


def test_candidate_compared_with_an_older_champion_is_stale(with_mlflow: Path, ledger: Ledger) -> None:
    late = candidate(SPEC, Store(), ledger, 2)
    first = champion(ledger, 1)
    with pytest.raises(StaleChampion, match=f"champion of intents is {first.model_digest[:12]}"):
        promote(SPEC, late, ledger, Store(), actor="ada")
    head = ledger.head(SPEC.name)
    assert head is not None
    assert head.model_digest == first.model_digest
    assert ledger.unfinished() == []


def test_damaged_package_is_never_rolled_back_to(with_mlflow: Path, ledger: Ledger) -> None:
    first, second = champion(ledger, 1), champion(ledger, 2)
    weights = Store().resolve(first.package_uri) / "model" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(IntegrityError) as caught:
        rollback(SPEC.name, ledger, Store(), actor="ada")
    assert "changed: model/model.safetensors" in caught.value.details
    head = ledger.head(SPEC.name)
    assert head is not None
    assert head.model_digest == second.model_digest


def test_one_faulty_spec_does_not_keep_the_others_waiting(with_mlflow: Path, ledger: Ledger) -> None:
    committed = {}
    for name in ("a_faulty", "b_fine"):  # as a promotion killed after its commit leaves it
        records = candidate(tiny_spec(name), Store(), ledger, ord(name[0]))
        fence, verdict = ledger.issue_fence(name), records["judge"]
        prepared = ledger.prepare(
            spec=name, model_digest=records["train"].digest, verdict_digest=verdict.digest, expected_digest=None,
            expected_seq=0, package_uri=build_package(tiny_spec(name), records, Store()), fence=fence, actor="ada", reason="",
        )  # fmt: skip
        committed[name] = ledger.commit(prepared.promotion_id, fence)
    faulty = Store().resolve(committed["a_faulty"].package_uri)
    faulty.rename(with_mlflow / "elsewhere")
    for _ in range(2):
        with pytest.raises(FtcoreError, match="could not do everything") as caught:
            reconcile(ledger, Store(), actor="ada")
        assert "promotion" in caught.value.details[0]
        assert "of a_faulty" in caught.value.details[0]
        assert not caught.value.transient
        assert [item.spec for item in ledger.unfinished()] == ["a_faulty"]
    (with_mlflow / "elsewhere").rename(faulty)
    assert len(reconcile(ledger, Store(), actor="ada")) == 1
    assert ledger.unfinished() == []


def test_an_alias_that_will_not_stay_ends_the_loop(
    with_mlflow: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "set_champion", lambda *_: None)  # as if another program moved it back each time
    with pytest.raises(ServiceUnavailable, match="alias champion of intents does not stay"):
        champion(ledger, 1)
    assert [item.state for item in ledger.unfinished()] == ["COMMITTED"]


def test_prepared_with_a_damaged_package_is_aborted(home: Path, ledger: Ledger) -> None:
    fence = ledger.issue_fence("intents")
    ledger.prepare(
        spec="intents", model_digest="m", verdict_digest="v", expected_digest=None, expected_seq=0, package_uri="packages/m",
        fence=fence, actor="ada", reason="",
    )  # fmt: skip
    [line] = reconcile(ledger, Store(), actor="ada")
    assert "aborted: its package is damaged" in line
    assert (ledger.unfinished(), ledger.head("intents")) == ([], None)
