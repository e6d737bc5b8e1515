"""One tiny base model of each family, and a run of any method on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.spec import MethodSpec, TrainingSpec
from ftcore.training.finetune import FineTuned, fine_tune
from tests.tiny_bert import LABELS, build_tiny_bert, make_rows
from tests.tiny_families import build_tiny, make_chats
from tests.tiny_modernbert import build_tiny_modernbert

SETTINGS = TrainingSpec(batch_size=8, epochs=1, learning_rate=1e-2, max_length=48, patience=0, eval_every=0.5)


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BaseModel]:
    folder = tmp_path_factory.mktemp("bases")
    chats = {family: build_tiny(family, folder / family) for family in ("llama", "qwen2", "t5")}
    encoders = {"bert": build_tiny_bert(folder / "bert"), "modernbert": build_tiny_modernbert(folder / "modernbert")}
    return {**encoders, **chats}


@pytest.fixture
def tune(bases: dict[str, BaseModel], tmp_path: Path) -> Callable[..., FineTuned]:
    """`tune(family, task, method, run_name, **settings of training)`; its files are in tmp_path/run_name."""

    def run(family: str, task: Any, method: MethodSpec, name: str = "run", **changes: Any) -> FineTuned:
        champion, precision = changes.pop("champion", None), changes.pop("precision", "fp32")
        make = make_rows if task == "classification" else make_chats
        return fine_tune(
            make(32), make(12, seed=1), LABELS if task == "classification" else (), task=task, base=bases[family],
            method=method, training=SETTINGS.model_copy(update=changes), device=Device("cpu", precision, 1),
            checkpoint_dir=tmp_path / name / "checkpoints", output_dir=tmp_path / name / "output", champion=champion,
        )  # fmt: skip

    return run
