"""The fastest way is measured once, and what is measured leaves no trace in the training."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.spec import ComputeSpec, MethodSpec, TrainingSpec
from ftcore.training import probe as probing
from ftcore.training.probe import Probe, _Bench, _kernels, _optimizers, _threads
from ftcore.training.tasks import TrainingTask, make_task
from tests.tiny_bert import LABELS
from tests.tiny_runs import BASICS, FAMILIES, build_bases, rows_of

BF16 = Device("cpu", "bf16", 8)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BaseModel]:
    return build_bases(tmp_path_factory.mktemp("bases"))


def job_of(bases: dict[str, BaseModel], task: str = "classification", **settings: Any) -> TrainingTask:
    training = TrainingSpec(**({**BASICS, "max_steps": probing.MIN_STEPS, "batch_size": 8} | settings))
    labels = LABELS if task == "classification" else ()
    return make_task(task, rows_of(task, 24), rows_of(task, 8, seed=1), labels, bases[task], training)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def load(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Of the machine, as tests say."""
    load = [0.0]
    monkeypatch.setattr(os, "getloadavg", lambda: (load[0], 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    return load


@pytest.fixture
def bench(bases: dict[str, BaseModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Bench:
    """One whose steps take as long as `costs` says, by number of threads."""
    bench, clock = _Bench(job_of(bases), MethodSpec(), Device("cpu", "fp32", 1), None, tmp_path), [0.0]
    bench.costs = {}  # type: ignore[attr-defined]

    def step(way: Device) -> None:
        cost = bench.costs[way.threads]  # type: ignore[attr-defined]
        if cost is None:
            raise RuntimeError("no such kernel")
        clock[0] += cost

    monkeypatch.setattr(bench, "_step", step)
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    bench.until = probing.BUDGET_S
    return bench


@pytest.mark.parametrize(
    ("costs", "wanted"),
    [
        ({8: 1.0, 4: 0.5, 2: 0.7}, 4),
        ({8: 1.0, 4: 0.95, 2: 1.2}, 8),  # within the margin: not worth another kernel
        ({8: 1.0, 4: None, 2: 0.8}, 2),
        ({8: 1.0, 4: None, 2: None}, 8),
    ],
)
def test_the_rule_of_thumb_gives_way_only_to_what_works_and_is_clearly_faster(
    bench: Any, costs: dict[int, float | None], wanted: int
) -> None:
    bench.costs = costs
    assert bench.fastest([Device("cpu", "fp32", threads) for threads in costs]).threads == wanted


def test_the_first_way_must_work(bench: Any) -> None:
    bench.costs = {2: None, 1: 1.0}
    with pytest.raises(RuntimeError, match="no such kernel"):
        bench.fastest([Device("cpu", "fp32", 2), Device("cpu", "fp32", 1)])


def test_no_further_way_is_tried_when_time_is_up(bench: Any) -> None:
    bench.costs = {8: 0.6 * probing.BUDGET_S, 4: 0.6 * probing.BUDGET_S, 2: 0.1}
    assert bench.fastest([Device("cpu", "fp32", threads) for threads in bench.costs]).threads == 8
    assert sorted(way.threads for way in bench.seconds) == [4, 8]


def test_only_what_the_spec_leaves_open_is_tried() -> None:
    open_ways = [(way.precision, way.attention) for way in _kernels(BF16, ComputeSpec())]
    assert open_ways == [("bf16", "eager"), ("bf16", "sdpa"), ("fp32", "eager"), ("fp32", "sdpa")]
    assert [way.threads for way in _threads(BF16, ComputeSpec())] == [8, 4, 2, 1]
    assert [way.fused for way in _optimizers(BF16, ComputeSpec())] == [True, False]
    pinned = ComputeSpec(attention="sdpa", precision="bf16", threads=8)
    assert [way.attention for way in _kernels(Device("cpu", "bf16", 8, "sdpa"), pinned)] == ["sdpa"]
    assert list(_threads(BF16, pinned)) == [BF16]
    plain = [way.precision for way in _kernels(Device("cpu", "fp32", 2), ComputeSpec())]
    assert set(plain) == {"fp32"}  # bfloat16 would be emulated


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("task", FAMILIES)
def test_every_task_can_be_measured(
    bases: dict[str, BaseModel], tmp_path: Path, capsys: pytest.CaptureFixture[str], task: str, method: str
) -> None:
    rule, job = Device("cpu", "fp32", 1), job_of(bases, task)
    state = torch.get_rng_state()
    chosen = Probe(ComputeSpec(), tmp_path).fastest(job, MethodSpec(name=method), rule, None, tmp_path / "run")
    assert chosen.threads == 1
    assert torch.equal(state, torch.get_rng_state())
    assert "probe: 3 ways measured" in capsys.readouterr().err
    assert len(list(tmp_path.glob("*.json"))) == 1  # kept for later trainings


def test_a_step_of_the_measure_leaves_the_weights(bases: dict[str, BaseModel], tmp_path: Path) -> None:
    device = Device("cpu", "fp32", 1)
    bench = _Bench(job_of(bases), MethodSpec(), device, None, tmp_path)
    before = {name: tensor.clone() for name, tensor in bench.model.state_dict().items()}
    bench._step(device)
    assert all(torch.equal(before[name], tensor) for name, tensor in bench.model.state_dict().items())


class TestKept:
    """One choice for a machine, model, method and batch size."""

    @pytest.fixture
    def measured(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Methods that were measured."""
        seen: list[str] = []

        def measure(
            self: Probe, job: TrainingTask, method: MethodSpec, device: Device, champion: Any
        ) -> dict[str, Any]:
            seen.append(method.name)
            return {"attention": "sdpa", "precision": "fp32", "threads": 1, "fused": False}

        monkeypatch.setattr(Probe, "_measure", measure)
        return seen

    @pytest.fixture
    def choose(self, bases: dict[str, BaseModel], tmp_path: Path, measured: list[str]) -> Callable[..., Device]:
        """Asks a probe, for a new training each time unless its name is given."""
        count = itertools.count()

        def ask(method: str = "full", name: str | None = None, probe: bool = True, **settings: Any) -> Device:
            run = tmp_path / (name or f"run-{next(count)}")
            chooser = Probe(ComputeSpec(probe=probe), tmp_path / "probes")
            return chooser.fastest(job_of(bases, **settings), MethodSpec(name=method), BF16, None, run)

        return ask

    def test_a_second_training_measures_nothing(self, choose: Callable[..., Device], measured: list[str]) -> None:
        assert [choose(), choose()] == [Device("cpu", "fp32", 1, "sdpa", fused=False)] * 2
        assert measured == ["full"]
        choose("lora")
        choose(batch_size=4)
        assert measured == ["full", "lora", "full"]

    def test_an_unreadable_choice_is_made_again(
        self, choose: Callable[..., Device], tmp_path: Path, measured: list[str]
    ) -> None:
        for content in (None, "{", "{}"):
            for path in tmp_path.glob("probes/*.json"):
                path.write_text(str(content))
            choose()
        assert measured == ["full"] * 3

    def test_a_busy_machine_is_not_measured_and_the_training_goes_on_as_it_began(
        self, choose: Callable[..., Device], measured: list[str], load: list[float], capsys: pytest.CaptureFixture[str]
    ) -> None:
        load[0] = 4.0
        rule = choose(name="first")
        assert (rule.precision, rule.attention_name, measured) == ("bf16", "eager", [])
        assert "the machine is busy (load 4.0)" in capsys.readouterr().err
        load[0] = 0.5
        assert choose(name="first") == rule
        assert measured == []
        assert choose(name="second") != rule

    def test_short_trainings_and_specs_that_say_so_are_not_measured(
        self, choose: Callable[..., Device], measured: list[str]
    ) -> None:
        assert choose(max_steps=probing.MIN_STEPS - 1) is BF16
        assert choose(probe=False) is BF16
        assert measured == []
