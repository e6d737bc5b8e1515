"""Decoders as classifiers find the last token of a row by the padding id: it must be one and the same everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ftcore.models.base import BaseModel, resolve_base, saved_model
from ftcore.models.devices import Device
from ftcore.models.inference import Predictor
from ftcore.models.loading import load_classifier
from ftcore.spec import BaseModelSpec, MethodSpec, TrainingSpec
from ftcore.store import Manifest
from ftcore.training.finetune import fine_tune
from ftcore.training.teachers import teacher_outputs
from tests.tiny_families import build, make_dialogues

LABELS = ("long", "short")
ROWS = [
    {"text": str(row["text"]), "label": LABELS[len(str(row["text"]).split()) < 5]} for row in make_dialogues(60, seed=4)
]
TEXTS = [row["text"] for row in ROWS[:24]]


def base_without_padding(folder: Path, family: str) -> BaseModel:
    """As Llama, Mistral and GPT-2 come: neither tokenizer nor config names a padding token."""
    model, tokenizer = build(family)
    tokenizer.pad_token = None
    model.config.pad_token_id = None
    if model.generation_config is not None:
        model.generation_config.pad_token_id = None
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return resolve_base(BaseModelSpec(name=str(folder)))


@pytest.mark.parametrize(
    ("family", "method"),
    [("llama", {}), ("qwen2", {}), ("llama", {"name": "lora", "rank": 2}), ("llama", {"name": "prompt_tuning"})],
)
def test_answers_do_not_depend_on_the_company(
    family: str, method: dict[str, object], cpu: Device, tmp_path: Path
) -> None:
    tuned = fine_tune(
        ROWS, ROWS[:20], LABELS, base=base_without_padding(tmp_path / "base", family),
        method=MethodSpec.model_validate(method), training=TrainingSpec(batch_size=8, epochs=2, max_length=16, patience=0),
        device=cpu, checkpoint_dir=tmp_path / "checkpoints", output_dir=tmp_path / "output",
    )  # fmt: skip
    folder = tmp_path / "output" / "model"
    alone, together = (
        Predictor(load_classifier(folder), cpu, max_length=16, batch_size=size).predict(TEXTS) for size in (1, 8)
    )
    np.testing.assert_allclose(together.probabilities, alone.probabilities, atol=1e-5)
    right = [label == row["label"] for label, row in zip(alone.labels, ROWS[:20], strict=False)]
    assert sum(right) / 20 == pytest.approx(tuned.history.validations[-1].accuracy)
    if (folder / "adapter").is_dir():  # no teacher
        return
    teacher = saved_model(folder, Manifest.read(folder).digest, "taught")
    taught = teacher_outputs(teacher, TEXTS, LABELS, 16, cpu, tmp_path / "taught")
    np.testing.assert_allclose(taught["logits"].softmax(-1).numpy(), alone.probabilities, atol=1e-5)
