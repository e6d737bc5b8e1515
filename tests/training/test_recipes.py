"""A training written down and read again is the same training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ftcore.errors import UsageError
from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.spec import AdaptSpec, CurriculumSpec, DistillSpec, MethodSpec, TrainingSpec
from ftcore.training.adapting import make_adaptation
from ftcore.training.curriculum import CurriculumOrder
from ftcore.training.distilled_classification import DistilledClassification
from ftcore.training.history import OutOfMemory
from ftcore.training.recipes import Recipe
from ftcore.training.tasks import make_task
from tests.tiny_bert import LABELS, make_rows, with_mask_token
from tests.tiny_runs import build_bases, rows_of

TRAINING = TrainingSpec(batch_size=8, max_length=48, class_weights={"card": 2.0})


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BaseModel]:
    return build_bases(tmp_path_factory.mktemp("bases"))


@pytest.mark.parametrize("task", ["classification", "instruction", "seq2seq"])
def test_a_task_and_all_around_it(task: str, bases: dict[str, BaseModel], tmp_path: Path) -> None:
    labels = LABELS if task == "classification" else ()
    job = make_task(task, rows_of(task, 12), rows_of(task, 4, seed=1), labels, bases[task], TRAINING)  # type: ignore[arg-type]
    order = CurriculumOrder([0.5] * 12, TRAINING, CurriculumSpec(until=0.3))
    method, device = MethodSpec(name="lora", rank=4), Device("cpu", "fp32", 3, processes=2, nodes=2)
    written = Recipe(
        job, method, device, tmp_path, bases[task], order, 7, (OutOfMemory(3, 8),), quiet=True
    )  # fmt: skip
    written.write(tmp_path / "job.json")
    read = Recipe.read(tmp_path / "job.json")

    assert type(read.job) is type(job)
    assert read.job.made_of == job.made_of
    for name in ("method", "device", "checkpoint_dir", "champion", "order", "step", "quiet"):
        assert getattr(read, name) == getattr(written, name), name
    assert list(read.out_of_memory) == [OutOfMemory(3, 8)]


def test_an_adaptation(bases: dict[str, BaseModel], tmp_path: Path) -> None:
    base, texts = (
        with_mask_token(bases["classification"]),
        [row["text"] + " x" * at for at, row in enumerate(make_rows(40))],
    )
    job = make_adaptation("classification", texts, base, TRAINING, AdaptSpec(columns=["text"], epochs=2))
    Recipe(job, MethodSpec(), Device("cpu", "fp32", 1, processes=2), tmp_path).write(tmp_path / "job.json")
    read = Recipe.read(tmp_path / "job.json").job
    assert read.training == job.training
    assert read.train.tokens == job.train.tokens  # type: ignore[attr-defined]


def test_what_cannot_be_written_down_is_refused(bases: dict[str, BaseModel], tmp_path: Path) -> None:
    rows = make_rows(6)
    outputs = {"logits": torch.zeros(6, 3), "embeddings": torch.zeros(6, 32)}
    job = DistilledClassification(
        rows, rows, LABELS, bases["classification"], TRAINING, outputs, DistillSpec(student_layers=1)
    )
    with pytest.raises(UsageError, match="one process only"):
        Recipe(job, MethodSpec(), Device("cpu", "fp32", 1, processes=2), tmp_path).write(tmp_path / "job.json")
    assert not (tmp_path / "job.json").exists()
