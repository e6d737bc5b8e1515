"""The training section as the Trainer gets it: steps, warm-up, schedules, micro-batches."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.spec import TrainingSpec
from ftcore.training import settings
from tests.tiny_runs import build_bases, run


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BaseModel]:
    return build_bases(tmp_path_factory.mktemp("bases"))


def arguments(rows: int = 100, micro: int | None = None, **changes: object) -> dict[str, object]:
    training = TrainingSpec.model_validate({"batch_size": 8} | changes)
    device = Device("cpu", "fp32", 1)
    return settings.trainer_arguments(training, rows, device, Path("x"), micro or training.batch_size, 64)


def test_rows_per_step_stay_whatever_the_pass() -> None:
    for micro in (1, 2, 4, 8):
        made = arguments(micro=micro)
        assert made["per_device_train_batch_size"] * made["gradient_accumulation_steps"] == 8  # type: ignore[operator]
        assert made["per_device_eval_batch_size"] == 8 * micro


def test_steps_and_warm_up() -> None:
    assert arguments(epochs=2, warmup_fraction=0.1)["warmup_steps"] == 3  # of 26 steps
    assert arguments(epochs=2, warmup_steps=7)["warmup_steps"] == 7
    assert arguments(max_steps=50, warmup_fraction=0.1)["warmup_steps"] == 5
    assert arguments(max_steps=50)["max_steps"] == 50 and arguments()["max_steps"] == -1


@given(st.integers(1, 300), st.integers(1, 300))
def test_the_smaller_micro_batch_divides_and_halves(batch: int, rows: int) -> None:
    smaller = settings.smaller_micro_batch(batch, rows)
    if rows == 1:
        assert smaller is None
    else:
        assert smaller is not None and batch % smaller == 0 and smaller <= rows / 2
        assert not any(batch % size == 0 for size in range(smaller + 1, rows // 2 + 1))


WANTED = {
    "linear": [0.5, 1, 0.75, 0.5, 0.25],
    "cosine": [0.5, 1, *((1 + math.cos(math.pi * at / 4)) / 2 for at in (1, 2, 3))],
    "constant": [0.5, 1, 1, 1, 1],
    "inverse_sqrt": [0.5, 1, *(math.sqrt(2 / at) for at in (3, 4, 5))],
    "warmup_stable_decay": [0.5, 1, 1, 1, 0.5],
}


@pytest.mark.parametrize("schedule", WANTED)
def test_schedules(schedule: str, bases: dict[str, BaseModel], tmp_path: Path) -> None:
    """Six steps, two of them warm-up; the curve holds the rate that each step but the first was made with."""
    tuned = run(bases, "classification", tmp_path, schedule=schedule, warmup_steps=2, max_steps=6, batch_size=32)
    assert tuned.num_steps == 6 == len(tuned.history.learning_rate)
    assert [rate / 1e-3 for rate in tuned.history.learning_rate[1:]] == pytest.approx(WANTED[schedule])


def test_order_without_length_groups_is_another(bases: dict[str, BaseModel], tmp_path: Path) -> None:
    runs = [
        run(bases, "classification", tmp_path / str(grouped), batch_size=8, max_steps=3, group_by_length=grouped)
        for grouped in (True, False)
    ]
    assert runs[0].history.loss != runs[1].history.loss


def test_noise_on_embeddings_is_in_training_only(bases: dict[str, BaseModel], tmp_path: Path) -> None:
    plain, noisy = (
        run(
            bases,
            "instruction",
            tmp_path / str(alpha),
            batch_size=32,
            max_steps=1,
            learning_rate=1e-9,
            neftune_alpha=alpha,
        )
        for alpha in (None, 50.0)
    )
    assert abs(plain.history.loss[0] - noisy.history.loss[0]) > 1e-3
    assert plain.history.validations[0].loss == pytest.approx(noisy.history.validations[0].loss, abs=1e-6)
