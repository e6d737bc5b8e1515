"""Easy rows first: how the share grows, which rows a step meets, what counts as hard."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.errors import DataRefused
from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.spec import CurriculumSpec, TrainingSpec
from ftcore.training.classification import Classification
from ftcore.training.curriculum import CurriculumSampler, base_loss, competence, row_order
from ftcore.training.tasks import make_task
from tests.tiny_bert import LABELS, make_rows
from tests.tiny_families import build_tiny, make_chats

CPU = Device("cpu", "fp32", 1)
SETTINGS = TrainingSpec(batch_size=4, epochs=4, max_length=64)
pacings = st.sampled_from(["linear", "root", "step"])


@given(pacings, st.floats(0.01, 1), st.floats(0.01, 1), st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_the_share_grows_from_start_to_all(pacing: Any, start: float, until: float, progress: list[float]) -> None:
    settings = CurriculumSpec(pacing=pacing, start_fraction=start, until=until)
    shares = [competence(at, settings) for at in sorted(progress)]
    assert shares == sorted(shares) and all(start - 1e-9 <= share <= 1 for share in shares)
    assert competence(0, settings) == pytest.approx(start)
    assert competence(until, settings) == pytest.approx(1.0)


def test_pacings_differ_as_they_say() -> None:
    shares = {
        pacing: competence(0.2, CurriculumSpec(pacing=pacing, start_fraction=0.2, until=0.5))
        for pacing in ("linear", "root", "step")
    }
    assert shares["linear"] == pytest.approx(0.2 + 0.8 * 0.4)
    assert shares["root"] == pytest.approx((0.4 * 0.96 + 0.04) ** 0.5)
    assert shares["step"] == pytest.approx(0.2 + 0.8 * 0.25)


@given(st.integers(1, 90), st.integers(1, 16), st.integers(0, 9), st.integers(0, 5), pacings)
def test_an_epoch_is_a_function_of_seed_and_epoch(rows: int, batch: int, seed: int, epoch: int, pacing: Any) -> None:
    settings = CurriculumSpec(pacing=pacing, start_fraction=0.3)

    def order(at: int) -> list[int]:
        sampler = CurriculumSampler(
            range(rows), [row % 7 for row in range(rows)], batch, seed, 4 * math.ceil(rows / batch), settings
        )
        sampler.set_epoch(at)
        return list(sampler)

    assert order(epoch) == order(epoch)
    assert len(order(epoch)) == rows and set(order(epoch)) <= set(range(rows))
    if epoch >= 2:  # half of four epochs: all rows are in use
        assert sorted(order(epoch)) == list(range(rows))


def test_first_steps_meet_the_easiest_rows_alone() -> None:
    difficulty = [float(100 - row) for row in range(100)]  # the last row is the easiest
    settings = CurriculumSpec(start_fraction=0.2, pacing="linear")
    sampler = CurriculumSampler(difficulty, [5] * 100, 4, 1, 8 * 25, settings)
    order = list(sampler)
    assert set(order[:32]) <= set(range(80, 100))
    assert min(order) < 80, "and later ones more"


def test_harder_is_what_stands_with_another_class(tiny_base: BaseModel) -> None:
    rows = [*make_rows(30), {"id": "x", "text": "card the a", "label": "money"}]
    job = Classification(rows, rows, LABELS, tiny_base, SETTINGS)
    difficulty = base_loss(job, rows, CPU)
    assert max(range(31), key=difficulty.__getitem__) == 30
    assert all(-2 <= value <= 2 for value in difficulty)


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_an_answer_s_loss_is_its_own(family: str, tmp_path: Path) -> None:
    base = build_tiny(family, tmp_path / family)
    task: Any = "instruction" if family == "llama" else "seq2seq"
    rows = make_chats(9)

    def losses(chosen: list[dict[str, Any]]) -> list[float]:
        job = make_task(task, chosen, rows, (), base, SETTINGS)
        return base_loss(job, chosen, CPU)

    together, alone = losses(rows), [losses([row])[0] for row in rows]
    assert together == pytest.approx(alone, rel=1e-4), "neither padding nor order matter"
    assert len(set(together)) > 1


def test_what_the_base_model_said_is_kept(
    tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = make_rows(20)
    job = Classification(rows, rows, LABELS, tiny_base, SETTINGS)
    settings = CurriculumSpec(difficulty="base_loss")
    first = list(row_order(job, rows, settings, CPU, tmp_path)([3] * 20, 4, 1))
    monkeypatch.setattr("ftcore.training.curriculum.base_loss", None)
    assert list(row_order(job, rows, settings, CPU, tmp_path)([3] * 20, 4, 1)) == first
    next(tmp_path.glob("difficulty-*.json")).write_text("[1,2")
    with pytest.raises(TypeError):  # asks again: a file that is cut short is no answer
        row_order(job, rows, settings, CPU, tmp_path)


def test_a_column_must_hold_numbers(tiny_base: BaseModel, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{**row, "difficulty": str(number)} for number, row in enumerate(make_rows(20))]
    job = Classification(rows, rows, LABELS, tiny_base, SETTINGS)
    settings = CurriculumSpec(difficulty="column", start_fraction=0.2, pacing="linear", until=1.0)
    order = list(row_order(job, rows, settings, CPU, tmp_path)([3] * 20, 4, 1))
    assert set(order[:4]) <= set(range(8))
    rows[3]["difficulty"] = "hard"
    del rows[4]["difficulty"]
    with pytest.raises(DataRefused, match="2 of 20 training rows have no number"):
        row_order(job, rows, settings, CPU, tmp_path)
