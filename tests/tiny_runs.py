"""Fine-tuning runs of tiny models for every task, and ways to break them off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.spec import MethodSpec, TrainingSpec
from ftcore.training.finetune import FineTuned, fine_tune
from ftcore.training.trainer import DurableTrainer
from tests.tiny_bert import LABELS, build_tiny_bert, make_rows
from tests.tiny_families import build_tiny, make_chats

FAMILIES = {"classification": "bert", "instruction": "llama", "seq2seq": "t5"}
BASICS = {"epochs": 2, "learning_rate": 1e-3, "max_length": 48, "patience": 0, "dropout": 0.0}
CPU = Device("cpu", "fp32", 1)


class Crash(BaseException):
    """Not an Exception, so that no handler of ours or the library's swallows it."""


def build_bases(folder: Path) -> dict[str, BaseModel]:
    """A tiny base model for each task."""
    bases = {"classification": build_tiny_bert(folder / "bert")}
    return bases | {task: build_tiny(family, folder / family) for task, family in FAMILIES.items() if task not in bases}


def rows_of(task: str, num_rows: int, seed: int = 0) -> list[dict[str, Any]]:
    return make_rows(num_rows, seed) if task == "classification" else make_chats(num_rows, seed)  # type: ignore[return-value]


def run(
    bases: dict[str, BaseModel], task: Any, folder: Path, method: MethodSpec = MethodSpec(), *,
    num_rows: int = 60, train: Any = None, validation: Any = None, device: Device = CPU, **settings: Any,
) -> FineTuned:  # fmt: skip
    """Fine-tune; checkpoints and output lie in `folder`, so that a second call goes on where the first broke off."""
    return fine_tune(
        train or rows_of(task, num_rows), validation or rows_of(task, 14, seed=1),
        LABELS if task == "classification" else (), task=task, base=bases[task], method=method,
        training=TrainingSpec(**(BASICS | settings)), device=device,
        checkpoint_dir=folder / "checkpoints", output_dir=folder / "output",
    )  # fmt: skip


def crash_after(monkeypatch: pytest.MonkeyPatch, passes: int) -> None:
    """Break off in the forward pass after so many."""
    original, seen = DurableTrainer.training_step, [0]

    def training_step(self: DurableTrainer, *args: Any, **kwargs: Any) -> torch.Tensor:
        if seen[0] == passes:
            raise Crash
        seen[0] += 1
        return original(self, *args, **kwargs)

    monkeypatch.setattr(DurableTrainer, "training_step", training_step)


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    """Of the model that a run has left. Key biases are left out: softmax takes them out of the loss, so their gradient is
    rounding noise, which Adam makes as large as any other."""
    state = load_file(folder / "output" / "model" / "model.safetensors")
    return {name: tensor for name, tensor in state.items() if "key.bias" not in name}


def distance(one: Path, other: Path) -> float:
    """Largest difference of a weight between the models of two runs."""
    first, second = weights_of(one), weights_of(other)
    assert first.keys() == second.keys()
    return max(float((first[name] - second[name]).abs().max()) for name in first)


def same_run(one: FineTuned, other: FineTuned) -> bool:
    return one.model_digest == other.model_digest and one.history.to_json() == other.history.to_json()
