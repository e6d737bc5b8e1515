"""Running out of memory, counting what is needed, reading what is free."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ftcore.errors import UsageError
from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.spec import MethodSpec
from ftcore.training import memory
from ftcore.training.finetune import FineTuned
from ftcore.training.history import OutOfMemory
from ftcore.training.trainer import DurableTrainer
from tests.tiny_runs import build_bases, distance, run

CPU = Device("cpu", "fp32", 1)
ERRORS = {
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "cpu": RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried to"),
    "python": MemoryError(),
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BaseModel]:
    return build_bases(tmp_path_factory.mktemp("bases"))


def limit(monkeypatch: pytest.MonkeyPatch, rows: int, error: BaseException, *, from_step: int = 1) -> None:
    """No forward pass of training holds more rows, from a step on."""
    original = DurableTrainer.training_step

    def training_step(self: DurableTrainer, model: Any, inputs: Any, *args: Any) -> torch.Tensor:
        if len(inputs["labels"]) > rows and self.state.global_step + 1 >= from_step:
            raise error
        return original(self, model, inputs, *args)

    monkeypatch.setattr(DurableTrainer, "training_step", training_step)


def without_memory_events(tuned: FineTuned) -> str:
    return dataclasses.replace(tuned.history, out_of_memory=[]).to_json()


@pytest.mark.parametrize(("task", "error"), [("classification", "cuda"), ("instruction", "cpu"), ("seq2seq", "python")])
def test_the_run_is_the_one_with_that_micro_batch_from_the_start(
    task: str, error: str, bases: dict[str, BaseModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = MethodSpec(name="lora", rank=4) if task == "instruction" else MethodSpec()
    common: dict[str, Any] = {"batch_size": 12, "num_rows": 30, "dropout": 0.1, "eval_every": 0.6, "epochs": 1}
    wanted = run(bases, task, tmp_path / "wanted", method, micro_batch_size=3, **common)
    limit(monkeypatch, 3, ERRORS[error])
    tuned = run(bases, task, tmp_path / "tuned", method, **common)

    assert tuned.history.out_of_memory == [OutOfMemory(1, 12), OutOfMemory(1, 6)]
    assert (tuned.micro_batch_size, wanted.micro_batch_size) == (3, 3)
    assert tuned.model_digest == wanted.model_digest
    assert without_memory_events(tuned) == without_memory_events(wanted)


def test_late_it_goes_on_from_the_checkpoint_and_a_second_process_knows(
    bases: dict[str, BaseModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    common: dict[str, Any] = {"batch_size": 8, "eval_every": 0.4, "epochs": 1}  # checkpoints at 3 and 6 of 8 steps
    wanted = run(bases, "classification", tmp_path / "wanted", **common)
    limit(monkeypatch, 4, ERRORS["cuda"], from_step=5)
    tuned = run(bases, "classification", tmp_path / "tuned", **common)
    assert tuned.history.out_of_memory == [OutOfMemory(5, 8)]
    assert tuned.history.loss == pytest.approx(wanted.history.loss, abs=1e-5)
    assert distance(tmp_path / "tuned", tmp_path / "wanted") < 1e-5
    again = run(bases, "classification", tmp_path / "tuned", **common)
    assert again.micro_batch_size == 4 and again.model_digest == tuned.model_digest


def test_one_row_that_does_not_fit_is_an_error_with_advice(
    bases: dict[str, BaseModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(monkeypatch, 0, ERRORS["cuda"])
    with pytest.raises(UsageError, match="at step 1 with one row") as caught:
        run(bases, "classification", tmp_path, batch_size=4)
    assert "training.max_length=24" in caught.value.hint and "gradient_checkpointing" in caught.value.hint


def test_other_errors_are_not_taken_for_it(
    bases: dict[str, BaseModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(monkeypatch, 0, RuntimeError("The size of tensor a (3) must match"))
    with pytest.raises(RuntimeError, match="size of tensor"):
        run(bases, "classification", tmp_path)


def test_a_real_allocation_that_fails_is_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert memory.is_out_of_memory(caught.value)


def test_what_autograd_keeps_is_counted_once() -> None:
    layers = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
    with memory.saved_bytes(layers) as sizes:
        layers(torch.randn(5, 8)).sum()
    # the input of the first layer; the output of tanh, kept by tanh and by the layer after it
    assert sorted(sizes) == [5 * 8 * 4, 5 * 16 * 4]


def test_needs_are_weights_gradients_and_two_moments() -> None:
    layers = nn.Linear(10, 10, bias=False)
    frozen = nn.Linear(10, 10, bias=False).requires_grad_(False)
    found = memory.needs(nn.Sequential(layers, frozen), bytes_per_row=7.0, rows=3, loaded=False)
    assert found == memory.Needs(weights=800, gradients=400, optimizer=800, activations=21)
    assert found.total == 2021
    assert memory.needs(layers, 0.0, 1, loaded=True).weights == 0


def files(folder: Path, texts: dict[str, str]) -> Path:
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_free_memory_is_what_the_narrower_limit_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        memory, "_PROC", files(tmp_path / "proc", {"meminfo": "MemTotal: 9 kB\nMemAvailable: 4000 kB\n"})
    )
    monkeypatch.setattr(memory, "_CGROUP", tmp_path / "none")
    assert memory.free_bytes(CPU) == 4000 * 1024
    group = {"memory.max": "3000000\n", "memory.current": "2000000\n", "memory.stat": "anon 5\ninactive_file 500000\n"}
    monkeypatch.setattr(memory, "_CGROUP", files(tmp_path / "v2", group))
    assert memory.free_bytes(CPU) == 1_500_000
    monkeypatch.setattr(memory, "_CGROUP", files(tmp_path / "v2max", {**group, "memory.max": "max\n"}))
    assert memory.free_bytes(CPU) == 4000 * 1024
    old = {
        "memory/memory.limit_in_bytes": "2000000",
        "memory/memory.usage_in_bytes": "1500000",
        "memory/memory.stat": "x 1",
    }
    monkeypatch.setattr(memory, "_CGROUP", files(tmp_path / "v1", old))
    assert memory.free_bytes(CPU) == 500_000
    monkeypatch.setattr(memory, "_PROC", tmp_path / "none")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path / "none")
    assert memory.free_bytes(CPU) is None
