from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ftcore.pipeline import gather, key_inputs
from ftcore.records import ModelRef, PreparedDataset, digest_of
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
