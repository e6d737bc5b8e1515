"""However a step is cut into forward passes, it is the same step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ftcore.models.base import BaseModel
from ftcore.spec import AdaptSpec, MethodSpec, TrainingSpec
from ftcore.training.adapting import make_adaptation
from ftcore.training.finetune import run_job
from tests.tiny_bert import WORDS, build_tiny_bert, with_mask_token
from tests.tiny_runs import BASICS, CPU, build_bases, distance, run


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BaseModel]:
    return build_bases(tmp_path_factory.mktemp("bases"))


@pytest.mark.parametrize(
    ("task", "settings"),
    [
        ("classification", {}),
        ("classification", {"class_weights": {"card": 5.0}, "label_smoothing": 0.1}),
        ("instruction", {}),
        ("instruction", {"packing": True}),
        ("instruction", {"gradient_checkpointing": True}),
        ("seq2seq", {"label_smoothing": 0.1}),
    ],
    ids=["classification", "weighted", "instruction", "packed", "checkpointed", "seq2seq"],
)
def test_32_rows_are_4_times_8(
    task: str, settings: dict[str, Any], bases: dict[str, BaseModel], tmp_path: Path
) -> None:
    # 60 rows: the second step has 28, the last of its passes 4
    whole = run(
        bases,
        task,
        tmp_path / "whole",
        batch_size=32,
        **{**settings, "packing": False, "gradient_checkpointing": False},
    )
    cut = run(bases, task, tmp_path / "cut", batch_size=32, micro_batch_size=8, **settings)

    assert whole.num_steps == cut.num_steps == 4
    assert cut.micro_batch_size == 8
    assert cut.history.loss == pytest.approx(whole.history.loss, abs=1e-5)
    assert cut.history.grad_norm == pytest.approx(whole.history.grad_norm, rel=1e-4)
    seen, wanted = ([item.loss for item in tuned.history.validations] for tuned in (cut, whole))
    assert seen == pytest.approx(wanted, abs=1e-5)
    assert distance(tmp_path / "whole", tmp_path / "cut") < 1e-5


@pytest.mark.parametrize("task", ["instruction", "seq2seq"])
def test_the_validation_loss_counts_every_token_alike(task: str, bases: dict[str, BaseModel], tmp_path: Path) -> None:
    losses = [
        run(bases, task, tmp_path / str(micro), batch_size=32, micro_batch_size=micro, max_steps=1, learning_rate=1e-9)
        .history.validations[-1].loss
        for micro in (32, 1)  # 14 rows in one pass, and in passes of 2
    ]  # fmt: skip
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_adaptation_is_the_same_however_a_step_is_cut(kind: str, bases: dict[str, BaseModel], tmp_path: Path) -> None:
    """Texts of 3 to 17 words: passes hold unlike numbers of tokens to guess."""
    texts = [" ".join(WORDS[(at * 7 + place) % 11] for place in range(3 + at % 15)) for at in range(60)]
    task, base = ("classification", with_mask_token(build_tiny_bert(tmp_path / "base"))) if kind == "encoder" else (
        "instruction", bases["instruction"],
    )  # fmt: skip
    runs = []
    for name, micro in (("whole", 32), ("cut", 8)):
        training = TrainingSpec(**{**BASICS, "batch_size": 32, "micro_batch_size": micro})
        job = make_adaptation(task, texts, base, training, AdaptSpec(columns=["text"], epochs=2))  # type: ignore[arg-type]
        folder = tmp_path / name
        method = MethodSpec(freeze_embeddings=False)
        runs.append(run_job(job, method, CPU, folder / "checkpoints", folder / "output"))
    whole, cut = runs
    assert whole.num_steps == cut.num_steps > 2 and cut.micro_batch_size == 8
    assert cut.history.loss == pytest.approx(whole.history.loss, abs=1e-5)
    assert distance(tmp_path / "whole", tmp_path / "cut") < 1e-5
