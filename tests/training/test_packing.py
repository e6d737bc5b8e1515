"""Rows that share a sequence are learnt as if each stood alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from ftcore.errors import UsageError
from ftcore.models.base import BaseModel
from ftcore.training import packing, preflight
from ftcore.training.packing import PackingCollator, contamination, pack
from tests.tiny_families import build_tiny
from tests.tiny_runs import build_bases, distance, run

ROWS = [[2, 4, 9, 8, 7, 3], [2, 5, 6], [2, 11, 12, 13, 3]]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(1, 50))
def test_every_row_has_one_place_and_no_sequence_is_too_long(lengths: list[int], capacity: int) -> None:
    groups = pack(lengths, capacity)
    assert sorted(row for group in groups for row in group) == list(range(len(lengths)))
    assert all(len(group) == 1 or sum(lengths[row] for row in group) <= capacity for group in groups)


def test_a_packed_batch() -> None:
    rows = [{"input_ids": ids, "labels": [-100, *ids[1:]]} for ids in ROWS]
    rows[2]["labels"] = ROWS[2]  # a row that learns from its first token on: that is nobody's next token
    batch = PackingCollator(0, 9)(rows)
    assert batch["input_ids"].tolist() == [[2, 4, 9, 8, 7, 3, 2, 5, 6], [2, 11, 12, 13, 3, 0, 0, 0, 0]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 4, 5, 0, 1, 2], [0, 1, 2, 3, 4, 0, 0, 0, 0]]
    assert batch["labels"].tolist() == [
        [-100, 4, 9, 8, 7, 3, -100, 5, 6],
        [-100, 11, 12, 13, 3, -100, -100, -100, -100],
    ]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_logits_of_packed_rows_are_those_of_the_rows(family: str, attention: str, tmp_path: Path) -> None:
    base = build_tiny(family, tmp_path)
    model = AutoModelForCausalLM.from_pretrained(base.path, attn_implementation=attention).eval()
    batch = PackingCollator(0, 9)([{"input_ids": ids, "labels": ids} for ids in ROWS])
    with torch.inference_mode():
        packed = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits
        alone = [model(input_ids=torch.tensor([ids])).logits[0] for ids in ROWS]
        seen = model(input_ids=batch["input_ids"], use_cache=False).logits  # without borders rows do see each other
    for place, row in ((packed[0, :6], 0), (packed[0, 6:], 1), (packed[1, :5], 2)):
        assert torch.allclose(place, alone[row], atol=1e-5)
    assert not torch.allclose(seen[0, 6:], alone[1], atol=1e-2)
    assert contamination(model, ROWS) < 1e-5


def test_packing_changes_the_work_not_the_result(tmp_path: Path) -> None:
    bases = build_bases(tmp_path / "bases")
    plain, packed = (run(bases, "instruction", tmp_path / str(on), batch_size=16, packing=on) for on in (False, True))
    assert packed.history.loss == pytest.approx(plain.history.loss, abs=1e-5)
    assert distance(tmp_path / "True", tmp_path / "False") < 1e-5


def test_a_model_whose_rows_would_see_each_other_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base: dict[str, BaseModel] = build_bases(tmp_path / "bases")
    monkeypatch.setattr(preflight, "contamination", lambda model, rows: 0.3)
    with pytest.raises(UsageError, match="checks before training") as caught:
        run(base, "instruction", tmp_path, packing=True)
    assert "packed rows see each other" in caught.value.details[0] and "packing=false" in caught.value.hint


def test_contamination_sees_a_model_that_ignores_positions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = AutoModelForCausalLM.from_pretrained(build_tiny("llama", tmp_path).path)
    original = type(model).forward
    monkeypatch.setattr(type(model), "forward", lambda self, position_ids=None, **named: original(self, **named))
    assert packing.contamination(model, ROWS) > 1e-2
