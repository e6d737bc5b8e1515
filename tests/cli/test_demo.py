"""A demo starts from nothing, and touches no state that it did not make."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftcore.cli.demo import MARKER, _start_from_nothing
from ftcore.errors import UsageError


@pytest.mark.parametrize("folders", [(), ("base-models",), ("base-models", "probes")])
def test_what_can_be_had_again_is_nothing(home: Path, folders: tuple[str, ...]) -> None:
    for name in folders:
        (home / name).mkdir(parents=True)
    _start_from_nothing(home)
    assert all((home / name).is_dir() for name in folders)


def test_state_of_others_is_refused(home: Path) -> None:
    (home / "stages").mkdir(parents=True)
    with pytest.raises(UsageError, match="holds state that no demo made"):
        _start_from_nothing(home)
    assert (home / "stages").is_dir()


def test_an_earlier_demo_is_moved_aside(home: Path) -> None:
    (home / "stages").mkdir(parents=True)
    (home / MARKER).write_text("{}")
    _start_from_nothing(home)
    assert not home.exists()
    assert (home.with_name("home.previous") / "stages").is_dir()
