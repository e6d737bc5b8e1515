from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ftcore.ledger import Ledger, open_ledger
from ftcore.pipeline import gather, key_inputs
from ftcore.pipeline.references import champion_ref, previous_champion_ref
from ftcore.records import ModelRef, PreparedDataset, TrainingRun, digest_of
from ftcore.spec import load_spec
from ftcore.stages import stages_of
from ftcore.store import Store
from tests.tiny_bert import build_tiny_bert

PREPARED = PreparedDataset(
    uri="stages/prepare/k", content_digest="c", train_digest="r", labels=("x",), num_rows={}, num_quarantined={},
    num_tokens={}, test_digest="t",
)  # fmt: skip
SPACE = "tuning={space: {training.epochs: {low: 1, high: 9}}}"


@pytest.mark.parametrize("stage", ["train", "tune"])
def test_a_student_in_production_names_its_own_teacher(
    project: Path, home: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    build_tiny_bert(project / "model")
    settings = ["base_model.name=model", "method.distill.teacher=champion", SPACE]
    spec = load_spec(project / "spec.yaml", settings)
    head = SimpleNamespace(model_digest="a" * 64, package_uri="packages/a", seq=1)
    train: dict[str, str] = {}
    monkeypatch.setattr("ftcore.registry.package.read_lineage", lambda folder: {"records": {"train": train}})

    records = {"prepare": PREPARED, "tune": PREPARED}  # of the search only the name counts here

    def teacher(head: object) -> ModelRef | None:
        ledger: Any = SimpleNamespace(head=lambda name: head)
        found = gather(stages_of(spec)[stage], spec, ledger, Store(), records)["teacher"]
        assert found is None or isinstance(found, ModelRef)
        return found

    assert teacher(None) is None
    first = teacher(head)
    assert first is not None and first.model_digest == "a" * 64
    train["taught_by"] = "b" * 64
    own = teacher(head)
    assert own is not None and own.model_digest == "b" * 64
    inputs = [{"prepare": PREPARED, "start": None, "teacher": found} for found in (None, first, own)]
    assert len({digest_of(key_inputs(stages_of(spec)[stage], spec, given)) for given in inputs}) == 3


def make_champion(ledger: Ledger, model: str, intent: Any = "promotion") -> None:
    head = ledger.head("tiny")
    fence = ledger.issue_fence("tiny")
    made = ledger.prepare(
        spec="tiny", model_digest=model * 64, verdict_digest="v" * 64, expected_digest=head.model_digest if head else None,
        expected_seq=head.seq if head else 0, package_uri=f"packages/{model}", fence=fence, actor="ada", reason="r",
        intent=intent,
    )  # fmt: skip
    ledger.commit(made.promotion_id, fence)
    ledger.mark_applied(made.promotion_id, "1")


def test_the_model_that_the_champion_replaced(project: Path, home: Path) -> None:
    """What a new candidate, and the champion run again, are compared with."""
    spec = load_spec(project / "spec.yaml")
    with open_ledger() as ledger:

        def pair(candidate: str) -> str:
            found = [ref(spec, ledger, candidate * 64) for ref in (champion_ref, previous_champion_ref)]
            return "".join("-" if item is None else item.uri.removeprefix("packages/") for item in found)

        assert pair("c") == "--"
        make_champion(ledger, "a")
        assert pair("c") == "a-" and pair("a") == "--"
        make_champion(ledger, "b")
        assert pair("c") == "ba" and pair("b") == "a-" and pair("a") == "ba"  # a again: in a circle
        before = pair("c")
        make_champion(ledger, "c")
        assert pair("c") == before and pair("d") == "cb"
        make_champion(ledger, "b", "rollback")  # c is withdrawn: it replaced b, and counts no more
        assert pair("d") == "ba"
        make_champion(ledger, "d")
        assert pair("e") == "db"


def test_the_model_before_the_champion_is_asked_for_by_the_spec_and_in_the_key(project: Path, home: Path) -> None:
    build_tiny_bert(project / "model")
    given = ["base_model.name=model"]
    plain, wanted = (
        load_spec(project / "spec.yaml", [*given, f"evaluation.baselines={names}"])
        for names in ("[majority]", "[majority, previous_champion]")
    )
    training = TrainingRun(
        uri="t", model_digest="c" * 64, base_digest="b", base_name="tiny", data_digest="d", method="full", device="cpu",
        precision="fp32", num_steps=1, num_epochs=1, best_step=1, best_validation_loss=1, train_s=1, samples_per_s=1,
        num_trainable=1, num_parameters=1,
    )  # fmt: skip
    stage = stages_of(wanted)["evaluate"]
    records = {"prepare": PREPARED, "train": training}
    with open_ledger() as ledger:
        make_champion(ledger, "a")
        alone = gather(stage, wanted, ledger, Store(), records)
        assert alone["previous_champion"] is None
        make_champion(ledger, "b")
        found = gather(stage, wanted, ledger, Store(), records)
        assert "previous_champion" not in gather(stage, plain, ledger, Store(), records)
    before = found["previous_champion"]
    assert isinstance(before, ModelRef) and before.model_digest == "a" * 64
    keys = [key_inputs(stage, wanted, inputs)["inputs"] for inputs in (found, {**found, "previous_champion": None})]
    assert keys[0]["previous_champion"]["model"] == "a" * 64 and keys[1]["previous_champion"] is None
