"""A tiny base model for the room's tests, built once."""

from __future__ import annotations

import pytest

from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from tests.tiny_bert import build_tiny_bert


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    return build_tiny_bert(tmp_path_factory.mktemp("tiny-bert"))


@pytest.fixture
def cpu() -> Device:
    return Device("cpu", "fp32", 1)
