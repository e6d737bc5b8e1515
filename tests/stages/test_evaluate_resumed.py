"""An evaluation that is killed in the middle goes on, and ends with the bytes of one that was not."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import pytest

from ftcore.evaluation import kept
from tests.stages import test_evaluate, test_evaluate_generation

AnyWorld = test_evaluate.World | test_evaluate_generation.World


def evaluate_and_die(world: AnyWorld, batches: int) -> None:
    """Kill this process at the end of a batch, before it is kept; the earlier ones are."""
    done = kept._Progress.done
    calls = []

    def dying(self: kept._Progress, number: int) -> None:
        done(self, number)
        calls.append(number)
        if len(calls) == batches:
            os.kill(os.getpid(), signal.SIGKILL)

    kept.KEEP_EVERY_S, kept._Progress.done = 0.0, dying  # type: ignore[method-assign]
    world.evaluate()


def files_of(world: AnyWorld) -> dict[str, bytes]:
    """Everything but times."""
    root = world.store.root / "evaluated"
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert files.pop("tables.json")
    return files


@pytest.mark.parametrize(("kind", "batches"), [("classifier", 6), ("generator", 15)])
def test_a_killed_evaluation_goes_on(
    kind: str, batches: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world: AnyWorld
    if kind == "classifier":
        world = test_evaluate.World(tmp_path)
    else:
        world = test_evaluate_generation.World(tmp_path, "instruction", "llama")
    whole = world.evaluate()
    wanted = files_of(world)
    shutil.rmtree(tmp_path / "evaluated")
    child = multiprocessing.get_context("spawn").Process(target=evaluate_and_die, args=(world, batches))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL and not (tmp_path / "evaluated" / "tables.json").exists()
    assert list((tmp_path / "scratch" / "answers").rglob("*.safetensors"))
    shutil.rmtree(tmp_path / "evaluated")
    capsys.readouterr()
    again = world.evaluate()
    assert "rows are there from an earlier attempt" in capsys.readouterr().err
    assert files_of(world) == wanted and again == whole
