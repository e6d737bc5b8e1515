"""Machines that help another one to train."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ftcore.errors import UsageError
from ftcore.models.devices import Device
from ftcore.training import launch, nodes
from tests.tiny_runs import build_bases, distance, run


def test_the_first_machine_does_not_join(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Rank 0 is the first"):
        nodes.join(tmp_path, 0, "127.0.0.1", 1)
    with pytest.raises(UsageError, match="no folder"):
        nodes.join(tmp_path / "none", 1, "127.0.0.1", 1)


def test_a_machine_takes_part_in_each_training_that_wants_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(name: str, num_nodes: int) -> None:
        (tmp_path / name / launch.FOLDER).mkdir(parents=True, exist_ok=True)
        device = f'{{"device": "cpu", "precision": "fp32", "threads": 1, "nodes": {num_nodes}}}'
        (tmp_path / name / launch.FOLDER / launch.JOB).write_text(f'{{"device": {device}}}')

    ask("alone", 1)
    ask("a", 2)
    took = []

    def run_node(folder: Path, device: Device, rank: int, host: str, port: int) -> tuple[int, list[str]]:
        took.append((folder.parent.name, device.nodes, rank, host, port))
        return 0, []

    monkeypatch.setattr(nodes, "run_node", run_node)
    monkeypatch.setattr(nodes.time, "sleep", lambda seconds: ask("b", 3))
    nodes.join(tmp_path, 1, "h", 5, trainings=2)
    assert sorted(took) == [("a", 2, 1, "h", 5), ("b", 3, 1, "h", 5)]


@pytest.mark.slow
def test_two_machines_train_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bases = build_bases(tmp_path / "bases")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv(launch.MAIN_ADDRESS, address)
    code = "from ftcore.cli import main; main()"
    helper = subprocess.Popen(
        [sys.executable, "-c", code, "join", "--rank", "1", "--folder", str(tmp_path), "--trainings", "1"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    try:
        one = run(bases, "classification", tmp_path / "one", batch_size=32)
        two = run(bases, "classification", tmp_path / "two", device=Device("cpu", "fp32", 1, nodes=2), batch_size=32)
        assert helper.wait(60) == 0
    finally:
        helper.kill()
        helper.wait()
    assert two.history.loss == pytest.approx(one.history.loss, abs=1e-5)
    assert distance(tmp_path / "one", tmp_path / "two") < 1e-5
