"""Shared by all tests: state in a temporary folder, no usage reporting, two threads."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from ftcore.cli._env import quiet_env

if TYPE_CHECKING:
    from ftcore.models.base import BaseModel
    from ftcore.models.devices import Device

quiet_env()
settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty FTCORE_HOME for every test: none can see or spoil the user's own."""
    folder = tmp_path / "home"
    monkeypatch.setenv("FTCORE_HOME", str(folder))
    for name in ("FTCORE_LEDGER_URL", "MLFLOW_TRACKING_URI", "FTCORE_ACTOR", "FTCORE_CRASH_AT", "FTCORE_OPTUNA_URL"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    """A tiny base model, built once."""
    from tests.tiny_bert import build_tiny_bert  # loads torch, which most tests do without

    return build_tiny_bert(tmp_path_factory.mktemp("tiny-bert"))


@pytest.fixture(scope="session")
def example_data(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """The example data as a fresh clone gets it: the last commit's, from the DVC remote that lies in the repository."""
    from ftcore.data.versions import pull
    from ftcore.records import DataRef

    folder = tmp_path_factory.mktemp("example") / "data"
    pull(DataRef(repo=str(request.config.rootpath), rev="HEAD", path="data"), folder)
    return folder


@pytest.fixture
def cpu() -> Device:
    from ftcore.models.devices import Device

    return Device("cpu", "fp32", 1)


@pytest.fixture(autouse=True)
def denormals() -> Iterator[None]:
    """`Device.prepare` lets denormal numbers count as zero in the whole process; hypothesis needs them back."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)
