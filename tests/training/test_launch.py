"""How the processes of a training are started, and how their ends are understood."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from ftcore import errors
from ftcore.errors import DataRefused, FtcoreError, TrainingDiverged, UsageError, WorkerFailed
from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.training import launch, worker
from ftcore.training.findings import Finding
from ftcore.training.history import OutOfMemory
from ftcore.training.launch import Outcome, error_of, outcome_to_plain, parse_address
from ftcore.training.recipes import Recipe
from tests.tiny_runs import build_bases, run

TWO = Device("cpu", "fp32", 2, processes=2)
DONE = Outcome(True, (Finding("labels", "ok", "fine"),), (), 8, 1.5, 4)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BaseModel]:
    return build_bases(tmp_path_factory.mktemp("bases"))


def tell(folder: Path, rank: int, outcome: Outcome | FtcoreError) -> None:
    (folder / f"outcome-{rank}.json").write_text(json.dumps(outcome_to_plain(outcome)))


@pytest.mark.parametrize("name", sorted(name for name in vars(errors) if isinstance(getattr(errors, name), type)))
def test_every_error_comes_back_as_it_was(name: str) -> None:
    error = getattr(errors, name)
    if issubclass(error, FtcoreError):
        back = error_of(outcome_to_plain(error("seen, wanted", hint="type this", details=["a", "b"]))["error"])
        assert type(back) is error
        assert str(back) == str(error("seen, wanted", hint="type this", details=["a", "b"]))


def test_the_first_process_tells_how_it_went(tmp_path: Path) -> None:
    tell(tmp_path, 0, DONE)
    tell(tmp_path, 1, replace(DONE, train_s=9.0))
    assert launch._read(tmp_path, 0, []) == DONE


def test_memory_that_ran_out_in_one_process_ran_out_for_all(tmp_path: Path) -> None:
    out = replace(DONE, done=False, out_of_memory=(OutOfMemory(3, 8),))
    tell(tmp_path, 1, out)  # the launcher ended the other one
    assert launch._read(tmp_path, 1, []) == out


def test_an_error_of_any_process_is_the_error(tmp_path: Path) -> None:
    tell(tmp_path, 1, DataRefused("12 rows are empty.", hint="fill them"))
    with pytest.raises(DataRefused, match="12 rows") as caught:
        launch._read(tmp_path, 1, [])
    assert caught.value.hint == "fill them"


@pytest.mark.parametrize("code", [0, 1])
def test_a_process_that_says_nothing_is_a_failure(
    code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if code:
        tell(tmp_path, 0, DONE)
        (tmp_path / "crash-1.txt").write_text("Traceback of ours")
    with pytest.raises(WorkerFailed, match="without a word"):
        launch._read(tmp_path, code, ["the launcher's last line"])
    assert capsys.readouterr().err == ("Traceback of ours" if code else "the launcher's last line\n")


@pytest.mark.parametrize("text", ["", "10.0.0.5", ":29500", "10.0.0.5:", "10.0.0.5:0", "10.0.0.5:70000", "a:b"])
def test_an_address_that_is_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(launch.MAIN_ADDRESS, text)
    with pytest.raises(UsageError, match="3 nodes.*FTCORE_MAIN_ADDRESS"):
        launch._address(3)


def test_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_address("train-1.local:29500") == ("train-1.local", 29500)
    monkeypatch.delenv(launch.MAIN_ADDRESS, raising=False)
    assert launch._address(1)[0] == "127.0.0.1"


def test_threads_are_shared_by_the_processes_of_a_machine() -> None:
    assert launch._environment(replace(TWO, threads=7, nodes=3))["OMP_NUM_THREADS"] == "3"
    assert launch._environment(replace(TWO, threads=1))["OMP_NUM_THREADS"] == "1"


def test_memory_runs_out_and_all_go_on_with_fewer_rows(
    bases: dict[str, BaseModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def launched(recipe: Recipe) -> Outcome:
        """As the launcher would, but in this process, where memory runs out at first."""
        seen.append((list(recipe.out_of_memory), recipe.step))
        if len(seen) == 1:
            return replace(DONE, done=False, out_of_memory=(OutOfMemory(2, 16),), micro_batch_size=16, train_s=1.0)
        replace(recipe, device=recipe.device.alone()).write(tmp_path / "job.json")
        return replace(worker.work(tmp_path / "job.json"), train_s=2.0)

    monkeypatch.setattr(launch, "launch", launched)
    tuned = run(bases, "classification", tmp_path, device=TWO, batch_size=32)
    assert seen == [([], None), ([OutOfMemory(2, 16)], None)]
    assert tuned.history.out_of_memory == [OutOfMemory(2, 16)]
    assert tuned.micro_batch_size == 8
    assert tuned.train_s == 3.0
    assert tuned.findings == DONE.findings


def test_a_worker_leaves_word_of_what_the_user_did_wrong(
    bases: dict[str, BaseModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(job: Path) -> Outcome:
        raise UsageError("saw this, wanted that", hint="type so")

    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(worker, "work", fails)
    monkeypatch.setattr(worker, "_end_with_parent", lambda launcher: None)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    assert worker.main(tmp_path / "job.json") == 1
    with pytest.raises(UsageError, match="saw this, wanted that"):
        launch._read(tmp_path, 1, [])


@pytest.mark.slow
def test_divergence_ends_all_processes_with_its_own_error(
    bases: dict[str, BaseModel], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(TrainingDiverged, match="wanted a finite number") as caught:
        run(bases, "classification", tmp_path, device=TWO, batch_size=8, learning_rate=1e30, max_grad_norm=1e30)
    assert caught.value.hint
    assert "Traceback" not in capsys.readouterr().err


PARENT = """
import sys
from pathlib import Path
from ftcore.models.devices import Device
from tests.tiny_runs import build_bases, run
folder = Path(sys.argv[1])
run(build_bases(folder / "bases"), "classification", folder, device=Device("cpu", "fp32", 2, processes=2),
    batch_size=2, epochs=100000)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_no_process_outlives_one_that_was_killed(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], env=environment, stderr=subprocess.DEVNULL)
    children: list[psutil.Process] = []
    until = time.monotonic() + 120
    while not list(tmp_path.glob("checkpoints/checkpoint-*")) and time.monotonic() < until:
        assert parent.poll() is None
        time.sleep(0.5)
    children = psutil.Process(parent.pid).children(recursive=True)
    assert len(children) == 3  # the launcher and two processes
    parent.kill()
    _, alive = psutil.wait_procs(children, timeout=20)
    parent.wait()
    assert alive == []
