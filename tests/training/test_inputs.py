"""The one way in: what phases read is there for the stage and for trials, and few shots hold for all phases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ftcore.errors import UsageError
from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.records import ModelRef
from ftcore.spec import FineTuneSpec
from ftcore.store import Store
from ftcore.training import inputs as inputs_module
from ftcore.training.inputs import TrainingInputs, check_on, read_inputs, train_on
from ftcore.training.phases import Run
from tests.tiny_search import make_spec, prepare_rows

CPU = Device("cpu", "fp32", 1)


def spec_with(base: BaseModel, **method: Any) -> FineTuneSpec:
    return FineTuneSpec.model_validate({**make_spec(base).model_dump(mode="json"), "method": method})


def given_to_run(
    monkeypatch: pytest.MonkeyPatch, given: TrainingInputs, spec: FineTuneSpec, tmp_path: Path
) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    def run(**arguments: Any) -> Run:
        seen.update(arguments)
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(inputs_module, "Run", run)
        with pytest.raises(InterruptedError):
            train_on(given, spec, CPU, tmp_path, None)
    return seen


def test_texts_are_of_the_rows_trained_on_and_of_files(
    tiny_base: BaseModel, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_with(tiny_base, shots=2, adapt={"texts": ["more.txt"]})
    prepared = prepare_rows(home)
    folder = home / prepared.uri
    (folder / "texts.jsonl").write_text(json.dumps({"text": "a card"}) + "\n")
    (folder / "preferences.jsonl").write_text(json.dumps({"rating": True}) + "\n")
    given = read_inputs(spec, {"prepare": prepared}, Store(home))
    seen = given_to_run(monkeypatch, given, spec, tmp_path)
    assert [*(row["text"] for row in seen["train_rows"]), "a card"] == seen["extra"].texts
    assert len(seen["train_rows"]) == 2 * len(given.labels)
    assert seen["extra"].preferences == [{"rating": True}] and seen["extra"].teacher is None
    none = spec_with(tiny_base, adapt={"texts": ["more.txt"], "columns": []})
    assert given_to_run(monkeypatch, given, none, tmp_path)["extra"].texts == ["a card"]


def test_a_teacher_is_checked_before_anything_is_trained(tiny_base: BaseModel, home: Path) -> None:
    prepared, store = prepare_rows(home), Store(home)
    champion = spec_with(tiny_base, distill={"teacher": "champion"})
    with pytest.raises(UsageError, match="no model has been promoted yet"):
        read_inputs(champion, {"prepare": prepared}, store)
    named = spec_with(tiny_base, distill={"teacher": str(tiny_base.path)})
    assert read_inputs(named, {"prepare": prepared, "teacher": None}, store).extra.teacher == tiny_base
    new = spec_with(tiny_base, distill={"student_layers": 1})
    ref = ModelRef(model_digest="a" * 64, uri="packages/a", seq=1)
    assert read_inputs(new, {"prepare": prepared, "teacher": ref}, store).extra.teacher is None


def test_preflight_looks_at_the_phases_with_the_texts_they_would_read(tiny_base: BaseModel, home: Path) -> None:
    spec = spec_with(tiny_base, shots=2, adapt={"epochs": 1}, distill={"student_layers": 1})
    given = read_inputs(spec, {"prepare": prepare_rows(home)}, Store(home))
    found = {finding.check: finding for finding in check_on(given, spec, CPU)}
    assert (found["teacher"].verdict, found["texts"].verdict) == ("ok", "fault")
    assert "6 different texts to adapt to" in found["texts"].message  # two shots of three classes
    assert not {"teacher", "texts"} & {finding.check for finding in check_on(given, spec_with(tiny_base), CPU)}
