"""Checkpoint folders: published whole, believed only when they verify."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ftcore.training import checkpoints


def write(folder: Path, step: int, best: int) -> None:
    with checkpoints.writing(folder, step) as place:
        (place / checkpoints.STATE).write_text("{}")
        (place / checkpoints.RELIES_ON).write_text(json.dumps([best] if best != step else []))


def test_newest_valid_wins_by_number_not_by_name(tmp_path: Path) -> None:
    assert checkpoints.latest_valid(tmp_path / "none") == (None, [])
    for step in (9, 10, 100):
        write(tmp_path, step, 9)
    assert checkpoints.latest_valid(tmp_path) == (100, [])


def test_damaged_ones_are_removed_on_the_way_down(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        write(tmp_path, step, 1)
    (tmp_path / "checkpoint-3" / checkpoints.STATE).write_text("[]")
    (tmp_path / "checkpoint-7").mkdir()  # a name is no checkpoint

    assert checkpoints.latest_valid(tmp_path) == (2, [7, 3])
    assert checkpoints.steps_in(tmp_path) == [1, 2]


def test_a_checkpoint_without_its_best_is_no_use(tmp_path: Path) -> None:
    write(tmp_path, 1, 1)
    write(tmp_path, 2, 2)
    write(tmp_path, 3, 2)
    (tmp_path / "checkpoint-2" / checkpoints.STATE).write_text("[]")
    assert checkpoints.latest_valid(tmp_path) == (1, [3, 2])


def test_an_exception_while_writing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), checkpoints.writing(tmp_path, 4) as place:
        (place / "half").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_rotation_keeps_the_newest_two_and_what_the_candidate_is_made_of(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4, 5, 6):
        write(tmp_path, step, 2)
    checkpoints.rotate(tmp_path, needed=[2, 3])
    assert checkpoints.steps_in(tmp_path) == [2, 3, 5, 6]


def test_a_second_process_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ftcore.training.checkpoints import exclusive\n"
        "with exclusive(Path(sys.argv[1]), Path(sys.argv[2])) as folder: print(folder)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "scratch"), str(tmp_path / "private")]
    with checkpoints.exclusive(tmp_path / "scratch", tmp_path / "mine") as folder:
        assert folder == tmp_path / "scratch"
        assert subprocess.check_output(command, text=True).strip() == str(tmp_path / "private")
    assert subprocess.check_output(command, text=True).strip() == str(tmp_path / "scratch")
