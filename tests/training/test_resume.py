"""A run that was broken off anywhere, any number of times, ends as if nothing had happened; a damaged file changes nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from ftcore.errors import TrainingDiverged
from ftcore.models.base import BaseModel
from ftcore.spec import MethodSpec
from ftcore.training import checkpoints
from ftcore.training.finetune import FineTuned
from ftcore.training.trainer import DurableTrainer
from tests.tiny_bert import LABELS
from tests.tiny_runs import Crash, build_bases, crash_after, rows_of, run, same_run

LORA = MethodSpec(name="lora", rank=4, dropout=0.1)
# 22 rows in steps of 8 are 3 steps an epoch, a validation every 2: inside epochs and at their ends; passes of 4 and 2 rows
COMMON: dict[str, Any] = {
    "num_rows": 22,
    "batch_size": 8,
    "micro_batch_size": 4,
    "epochs": 3,
    "eval_every": 0.6,
    "dropout": 0.1,
}
RUNS: dict[str, dict[str, Any]] = {
    "classification": {"class_weights": "balanced", "average_checkpoints": 2},
    "instruction": {"neftune_alpha": 5.0, "packing": True, "method": LORA},
    "seq2seq": {"label_smoothing": 0.1, "final_weights": "last", "schedule": "cosine"},
}
PASSES = 18


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BaseModel]:
    return build_bases(tmp_path_factory.mktemp("bases"))


@pytest.fixture(scope="module")
def unbroken(bases: dict[str, BaseModel], tmp_path_factory: pytest.TempPathFactory) -> dict[str, FineTuned]:
    return {task: run(bases, task, tmp_path_factory.mktemp(task), **COMMON, **RUNS[task]) for task in RUNS}


@pytest.mark.parametrize("task", RUNS)
def test_broken_off_at_any_pass_it_ends_the_same(
    task: str, bases: dict[str, BaseModel], unbroken: dict[str, FineTuned], tmp_path: Path
) -> None:
    @settings(max_examples=3, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.integers(0, PASSES - 1), min_size=1, max_size=3))
    def broken_off(points: list[int]) -> None:
        folder = tmp_path / "run"
        shutil.rmtree(folder, ignore_errors=True)
        for passes in points:  # each attempt gets so far, counted from where it went on
            with pytest.MonkeyPatch.context() as monkeypatch:
                crash_after(monkeypatch, passes)
                try:
                    run(bases, task, folder, **COMMON, **RUNS[task])
                except Crash:
                    continue
            break
        assert same_run(run(bases, task, folder, **COMMON, **RUNS[task]), unbroken[task])

    broken_off()


@pytest.mark.parametrize("task", RUNS)
def test_same_seed_same_result_and_another_seed_another(
    task: str, bases: dict[str, BaseModel], unbroken: dict[str, FineTuned], tmp_path: Path
) -> None:
    assert same_run(run(bases, task, tmp_path / "again", **COMMON, **RUNS[task]), unbroken[task])
    other = run(bases, task, tmp_path / "other", **COMMON, **RUNS[task], seed=18)
    assert other.model_digest != unbroken[task].model_digest


FILES = (
    "trained.safetensors",
    "optimizer.pt",
    "scheduler.pt",
    "rng_state.pth",
    "history.json",
    "trainer_state.json",
    "relies_on.json",
)
DAMAGES = ("truncated", "zeroed", "flipped", "missing")
# every file and every damage, not every pair with every task
CASES = [(list(RUNS)[at % 3], name, DAMAGES[at % 4]) for at, name in enumerate(FILES)]


@pytest.fixture(scope="module")
def broken_at_five(bases: dict[str, BaseModel], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs that crashed in step 6, with checkpoints of steps 2 and 4."""
    folders = {}
    for task in RUNS:
        folders[task] = tmp_path_factory.mktemp(task)
        with pytest.MonkeyPatch.context() as monkeypatch:
            crash_after(monkeypatch, 10)
            with pytest.raises(Crash):
                run(bases, task, folders[task], **COMMON, **RUNS[task])
        assert checkpoints.steps_in(folders[task] / "checkpoints") == [2, 4]
    return folders


@pytest.mark.parametrize(("task", "name", "damage"), CASES, ids=[f"{name}-{damage}" for _, name, damage in CASES])
def test_a_damaged_file_sends_training_back_to_the_checkpoint_before(
    task: str, name: str, damage: str, bases: dict[str, BaseModel], unbroken: dict[str, FineTuned],
    broken_at_five: dict[str, Path], tmp_path: Path,
) -> None:  # fmt: skip
    shutil.copytree(broken_at_five[task], tmp_path / "run")
    hurt(tmp_path / "run" / "checkpoints" / "checkpoint-4" / name, damage)
    tuned = run(bases, task, tmp_path / "run", **COMMON, **RUNS[task])
    assert tuned.resumed_from == 2
    assert same_run(tuned, unbroken[task])


def hurt(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "missing":
        path.unlink()
        return
    if how == "flipped":
        data[len(data) // 2] ^= 1
    path.write_bytes({"truncated": data[: len(data) // 2], "zeroed": bytes(len(data))}.get(how, data))


def test_patience_survives_any_interruption(bases: dict[str, BaseModel], tmp_path: Path) -> None:
    """The validation labels contradict the training labels, so the first validation stays the best."""
    against = [
        {**row, "label": LABELS[(LABELS.index(row["label"]) + 1) % 3]} for row in rows_of("classification", 14, seed=1)
    ]
    changes = {**COMMON, "patience": 3, "epochs": 9, "learning_rate": 4e-3, "validation": against}
    whole = run(bases, "classification", tmp_path / "whole", **changes)
    assert whole.num_steps == 8 and whole.best_step == 2
    for passes in (5, 4):
        with pytest.MonkeyPatch.context() as monkeypatch:
            crash_after(monkeypatch, passes)
            with pytest.raises(Crash):
                run(bases, "classification", tmp_path / "broken", **changes)
    assert same_run(run(bases, "classification", tmp_path / "broken", **changes), whole)


@pytest.mark.parametrize("where", ["loss", "gradient"])
@pytest.mark.parametrize("task", ["instruction", "seq2seq"])
def test_what_is_not_finite_ends_the_run_within_the_step(
    task: str, where: str, bases: dict[str, BaseModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, where, step=4)
    with pytest.raises(TrainingDiverged, match="at step 4"):
        run(bases, task, tmp_path, **COMMON)
    folder = tmp_path / "checkpoints"
    assert checkpoints.steps_in(folder) == [2]
    assert all(
        bool(torch.isfinite(item).all()) for item in load_file(folder / "checkpoint-2" / "trained.safetensors").values()
    )
    assert not (tmp_path / "output").exists()


def spoil(monkeypatch: pytest.MonkeyPatch, where: str, step: int) -> None:
    """Make the loss, or a gradient, NaN in the second pass of a step."""
    original, passes = DurableTrainer.training_step, [0]

    def training_step(self: DurableTrainer, model: Any, inputs: Any, num_items: Any = None) -> torch.Tensor:
        passes[0] += self.state.global_step + 1 == step
        parameter = next(item for item in model.parameters() if item.requires_grad)
        if passes[0] != 2:
            return original(self, model, inputs, num_items)
        if where == "gradient":
            handle = parameter.register_hook(lambda gradient: gradient * float("nan"))
        else:
            handle = model.register_forward_hook(lambda module, args, output: _nan(output))
        try:
            return original(self, model, inputs, num_items)
        finally:
            handle.remove()

    monkeypatch.setattr(DurableTrainer, "training_step", training_step)


def _nan(output: Any) -> Any:
    for name in ("logits", "log_probs"):  # TRL's forward pass gives log-probabilities in place of logits
        if getattr(output, name, None) is not None:
            output[name] = output[name] * float("nan")
    return output
