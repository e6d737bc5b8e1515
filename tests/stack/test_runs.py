"""What a run works on and what becomes of the retrain request, on a real ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ftcore.ledger import Ledger, open_ledger
from ftcore.records import DataRef
from ftcore.spec import FineTuneSpec, load_spec
from ftcore.stack.runs import evidence, finish_run, plan_run, ready_request
from ftcore.stages import ORDER

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


def test_evidence_shows_reasons_and_numbers() -> None:
    row = {"name": "accuracy", "champion": 0.8, "candidate": 0.9, "difference": 0.1, "ci_low": 0.05, "ci_high": 0.15,
           "p_value": 0.001, "n": 500}  # fmt: skip
    verdict = PASS | {"metrics": [row], "candidate_digest": "c" * 64, "champion_digest": None}
    text = evidence(verdict)
    assert "- better" in text
    assert "| accuracy | 0.8000 | 0.9000 | +0.1000 | +0.0500 to +0.1500 | 0.001 | 500 |" in text


def test_evidence_takes_no_markup_from_data() -> None:
    slice_value = "On source='x](http://evil) <img src=x> **PASS**' (300 rows) the candidate is worse."
    text = evidence(
        PASS | {"reasons": [slice_value], "metrics": [], "candidate_digest": "c" * 64, "champion_digest": None}
    )
    assert not set("<[") & set(text) and text.count("**") == 2, "the bold outcome is ours"
    assert "the candidate is worse." in text
