"""What a run works on and what becomes of the retrain request, on a real ledger."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ftcore.ledger import Ledger, open_ledger
from ftcore.records import DataRef
from ftcore.spec import ApprovalSpec, FineTuneSpec, load_spec
from ftcore.stack.runs import Asked, evidence, finish_run, may_answer, plan_run, ready_request
from ftcore.stages import ORDER
from ftcore.store import Store

SPEC = Path(__file__).parents[2] / "dags" / "specs" / "support_intents.yaml"
RUN = {"dag_id": "d", "run_id": "r", "url": "http://127.0.0.1/d/r"}
DATA = DataRef(repo="/data", rev="abc", path="data", reason="feedback")
PASS = {"outcome": "PASS", "reasons": ["better"], "uri": "stages/judge/k"}


@pytest.fixture
def ledger() -> Ledger:
    return open_ledger()


@pytest.fixture
def spec() -> FineTuneSpec:
    return load_spec(SPEC)


def plan(spec: FineTuneSpec, ledger: Ledger, *, ready: bool = True) -> dict[str, Any]:
    request, _ = ledger.open_request(spec.name, "drift", "window-1")
    if ready:
        ledger.attach_data(request.request_id, DATA)
    made = plan_run(spec, ledger, run_type="asset_triggered", run=RUN)
    assert made is not None
    return made.to_dict()


def records(upto: str = "promote", **changed: Any) -> dict[str, Any]:
    done = {name: {"uri": f"stages/{name}/k"} for name in ORDER[: ORDER.index(upto) + 1]}
    return {**{name: done.get(name) for name in ORDER if name != "tune"}, **changed}


def test_an_asset_event_without_a_ready_request_is_nobodys_run(spec: FineTuneSpec, ledger: Ledger) -> None:
    assert plan_run(spec, ledger, run_type="asset_triggered", run=RUN) is None
    ledger.open_request(spec.name, "drift", "window-1")
    assert ready_request(spec.name, ledger) is None
    assert plan_run(spec, ledger, run_type="asset_triggered", run=RUN) is None


def test_a_ready_request_brings_its_data_to_any_run(spec: FineTuneSpec, ledger: Ledger) -> None:
    made = plan(spec, ledger)
    assert (made["cause"], made["reason"], made["data"]["rev"]) == ("retrain request", "drift", "abc")
    scheduled = plan_run(spec, ledger, run_type="scheduled", run=RUN)
    assert scheduled is not None
    assert scheduled.request_id == made["request_id"]


def test_a_revision_asked_for_by_hand_answers_no_request(spec: FineTuneSpec, ledger: Ledger) -> None:
    plan(spec, ledger)
    by_hand = plan_run(spec, ledger, run_type="manual", run=RUN, rev="v1")
    assert by_hand is not None
    assert (by_hand.request_id, by_hand.data["rev"], by_hand.cause) == (None, "v1", "manual")


@pytest.mark.parametrize(
    ("left", "refusals", "approval", "outcome", "open_after"),
    [
        (records(judge=PASS, promote={"model_digest": "m" * 64}), {}, None, "promoted", False),
        (records("judge", judge=PASS | {"outcome": "FAIL"}), {}, None, "kept", False),
        (records("judge", judge=PASS | {"outcome": "HOLD"}), {}, None, "held", False),
        (records("judge", judge=PASS), {}, {"chosen": ["Reject"], "by": "ada"}, "held", False),
        (records("judge", judge=PASS), {}, {"chosen": ["Reject"], "by": None}, "held", False),
        (records("ingest"), {"validate": ["dirty"]}, None, "refused", False),
        (records("judge", judge=PASS), {"promote": ["stale"]}, None, "refused", True),
        (records("prepare"), {}, None, "crashed", True),
        (records("judge", judge=PASS), {}, {"chosen": ["Approve"], "by": "ada"}, "crashed", True),
    ],
)
def test_the_request_is_closed_by_an_answer_and_by_nothing_else(
    spec: FineTuneSpec,
    ledger: Ledger,
    left: dict[str, Any],
    refusals: dict[str, list[str]],
    approval: dict[str, Any] | None,
    outcome: str,
    open_after: bool,
) -> None:
    made = plan(spec, ledger)
    ending = finish_run(ledger, made, left, refusals, approval, RUN)
    assert ending.outcome == outcome
    assert (ledger.request(spec.name) is not None) == open_after
    (event,) = ledger.events(spec.name, kinds=("run_finished",))
    assert event.payload["outcome"] == outcome
    told = [alert.title for alert in ledger.pending_alerts() if "did not replace" in alert.title]
    assert len(told) == (outcome in ("kept", "held"))
    assert ledger.verify().ok


def test_the_crashed_stage_is_named(spec: FineTuneSpec, ledger: Ledger) -> None:
    ending = finish_run(ledger, plan(spec, ledger), records("prepare"), {}, None, RUN)
    assert ending.reasons == ("train did not finish",)


def judged(store: Store, reason: str, label: str = "card") -> dict[str, Any]:
    """A verdict as `judge` leaves it: the record, and verdict.json in the store."""
    accuracy = {"name": "accuracy", "value": 0.9, "ci_low": 0.87, "ci_high": 0.92, "n": 500}
    row = {"name": "accuracy", "champion": 0.8, "candidate": 0.9, "difference": 0.1, "ci_low": 0.05, "ci_high": 0.15,
           "p_value": 0.001, "n": 500, "n_needed": 40}  # fmt: skip
    part = {"column": "label", "value": label, "n": 120, "champion": 0.8, "candidate": 0.79, "difference": -0.01,
            "ci_low": -0.05, "ci_high": 0.03, "judged": True, "blocked": False}  # fmt: skip
    small = part | {"value": "rare", "n": 9, "judged": False}
    folder = store.root / "stages" / "judge" / "k"
    folder.mkdir(parents=True)
    document = {"models": [{"role": "candidate", "metrics": [accuracy]}], "metrics": [row], "slices": [small, part],
                "gate": {"metric": "accuracy"}}  # fmt: skip
    (folder / "verdict.json").write_text(json.dumps(document))
    digests = {"candidate_digest": "c" * 64, "champion_digest": "d" * 64}
    return PASS | digests | {"reasons": [reason], "spec": "support_intents"}


ASKED = Asked("eve", "manual: manual run", ("ada", "bo"), True, 72.0, "http://here/ftcore/files")


def test_the_evidence_has_all_that_a_decision_needs() -> None:
    store = Store()
    text = evidence(judged(store, "better"), ASKED, store)
    for wanted in (
        "**PASS**: candidate `cccccccccccc`, champion `dddddddddddd`",
        "- better",
        "- Started by eve (manual: manual run)",
        "- eve may not approve",
        "- Approvers: ada, bo;",
        "no answer within 72 hours: the champion stays",
        "| candidate | 0.9000 (0.8700 to 0.9200) | 500 |",
        "| accuracy | 0.8000 | 0.9000 | +0.1000 | +0.0500 to +0.1500 | 0.001 | 500 | 40 |",
        "1 judged, none blocked; 1 have too few rows.",
        "| label | card | 120 | 0.8000 | 0.7900 | -0.0100 |",
        "(http://here/ftcore/files/stages/judge/k/report.html)",
        "`ftcore report support_intents --model cccccccccccc`",
    ):
        assert wanted in text, text
    nobody = evidence(
        judged(Store(store.root / "b"), "better"), replace(ASKED, starter="airflow/d", approvers=()), store
    )
    assert "may not approve" not in nobody and "Approvers" not in nobody


def test_evidence_without_its_scores_says_so() -> None:
    store = Store()
    verdict = judged(store, "better")
    (store.root / "stages" / "judge" / "k" / "verdict.json").unlink()
    assert "The scores are missing" in evidence(verdict, ASKED, store)


def test_evidence_takes_no_markup_from_data() -> None:
    hostile = "x](http://evil) <img src=x> **PASS** |`a`\n# head"
    store = Store()
    text = evidence(judged(store, hostile, hostile), replace(ASKED, starter=hostile, cause=hostile), store)
    assert "<" not in text and "](http://evil" not in text and text.count("**") == 2, "the bold outcome is ours"
    assert [line for line in text.splitlines() if line.startswith("# ")] == []
    assert "img src" in text


def test_whoever_started_the_run_is_not_among_those_who_may_answer() -> None:
    approval = ApprovalSpec(required=True, approvers=["ada", "eve"])
    assert may_answer(approval, "eve") == ("ada",)
    assert may_answer(approval, "airflow/d") == ("ada", "eve")
    assert may_answer(approval.model_copy(update={"four_eyes": False}), "eve") == ("ada", "eve")
