"""Which weights become the candidate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ftcore.errors import IntegrityError
from ftcore.models.base import BaseModel
from ftcore.training import averaging, checkpoints
from ftcore.training.history import History, Validation
from tests.tiny_runs import build_bases, run

FOUR: dict[str, Any] = {"batch_size": 8, "num_rows": 24, "epochs": 4}  # checkpoints at 3, 6, 9, 12


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BaseModel]:
    return build_bases(tmp_path_factory.mktemp("bases"))


def test_the_steps_to_keep() -> None:
    history = History(
        validations=[Validation(at, 0, loss, None) for at, loss in ((5, 0.4), (10, 0.2), (15, 0.2), (20, 0.3))]
    )
    assert history.steps_to_keep("best", 0) == [10]
    assert history.steps_to_keep("best", 3) == [10, 15, 20]
    assert history.steps_to_keep("last", 1) == [20]
    assert history.steps_to_keep("last", 9) == [20, 15, 10, 5]


def test_the_mean_of_states() -> None:
    states = [
        {"w": torch.tensor([1.0, 2.0]), "n": torch.tensor(7)},
        {"w": torch.tensor([3.0, 6.0]), "n": torch.tensor(9)},
    ]
    mean = averaging.mean_state(states)
    assert mean["w"].tolist() == [2.0, 4.0] and mean["w"].dtype == torch.float32
    assert mean["n"].item() == 7


@pytest.mark.parametrize("final", ["best", "last"])
def test_a_mean_that_is_no_worse_is_taken(final: str, bases: dict[str, BaseModel], tmp_path: Path) -> None:
    """Large constant steps jump about the optimum; the mean lies nearer to it."""
    changes = {**FOUR, "learning_rate": 2e-2, "schedule": "constant", "final_weights": final}
    alone = run(bases, "seq2seq", tmp_path / "alone", **changes)
    tuned = run(bases, "seq2seq", tmp_path / "mean", **changes, average_checkpoints=2)
    assert tuned.best_step == alone.best_step and tuned.best_validation_loss <= alone.best_validation_loss
    if tuned.averaged_steps:
        folder = tmp_path / "mean" / "checkpoints"
        assert list(tuned.averaged_steps) == sorted(tuned.history.steps_to_keep(final, 2))
        parts = [load_file(checkpoints.path_of(folder, step) / "trained.safetensors") for step in tuned.averaged_steps]
        saved = load_file(tmp_path / "mean" / "output" / "model" / "model.safetensors")
        for name in set(saved) & set(parts[0]):
            assert torch.allclose(saved[name], (parts[0][name] + parts[1][name]) / 2, atol=1e-6)
    else:
        assert tuned.model_digest == alone.model_digest


@pytest.mark.parametrize(("mean_loss", "taken"), [(0.0, True), (99.0, False)])
def test_the_validation_loss_decides(
    mean_loss: float, taken: bool, bases: dict[str, BaseModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("ftcore.training.trainer.DurableTrainer.validation_loss", lambda self: mean_loss)
    tuned = run(bases, "classification", tmp_path, **FOUR, average_checkpoints=3)
    assert (len(tuned.averaged_steps) == 3) == taken
    assert (tuned.best_validation_loss == 0.0) == taken
    assert ("is not taken" in capsys.readouterr().err) == (not taken)


def test_last_means_last(bases: dict[str, BaseModel], tmp_path: Path) -> None:
    tuned = run(bases, "seq2seq", tmp_path, **FOUR, learning_rate=5e-2, final_weights="last")
    assert tuned.best_step == tuned.num_steps == 12
    assert tuned.best_validation_loss == tuned.history.validations[-1].loss


def test_all_parts_of_a_mean_are_kept_and_must_be_whole(bases: dict[str, BaseModel], tmp_path: Path) -> None:
    first = run(bases, "classification", tmp_path, **FOUR, average_checkpoints=4)
    folder = tmp_path / "checkpoints"
    assert checkpoints.steps_in(folder) == [3, 6, 9, 12]
    (folder / "checkpoint-6" / "trained.safetensors").write_bytes(b"")
    again = run(bases, "classification", tmp_path, **FOUR, average_checkpoints=4)
    assert again.resumed_from == 3 and again.model_digest == first.model_digest
    with pytest.raises(IntegrityError, match="step 6 was damaged"):
        (folder / "checkpoint-6" / "trained.safetensors").write_bytes(b"")
        averaging._read(folder, 6)
