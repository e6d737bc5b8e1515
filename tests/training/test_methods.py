"""Starting from a champion: known classes keep what was learned, wherever they stand; the rest is new."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ftcore.models.base import BaseModel, saved_model
from ftcore.models.devices import Device
from ftcore.models.loading import load_classifier
from ftcore.spec import MethodSpec, TrainingSpec
from ftcore.training.attempts import build_model
from ftcore.training.classification import Classification
from ftcore.training.finetune import FineTuned, fine_tune
from tests.tiny_bert import LABELS, make_rows

SETTINGS = TrainingSpec(epochs=4, batch_size=8, learning_rate=4e-3, max_length=16)
TRAIN, VALIDATION = make_rows(120), make_rows(24, seed=1)


def job(base: BaseModel, labels: tuple[str, ...] = LABELS, settings: TrainingSpec = SETTINGS) -> Classification:
    rows = [row for row in TRAIN if row["label"] in labels]
    return Classification(rows, rows, labels, base, settings)


def tune(base: BaseModel, folder: Path, **changes: Any) -> FineTuned:
    settings: dict[str, Any] = {"base": base, "method": MethodSpec(), "training": SETTINGS, **changes}
    return fine_tune(
        TRAIN, VALIDATION, LABELS, device=Device("cpu", "fp32", 1), checkpoint_dir=folder / "checkpoints",
        output_dir=folder / "output", **settings,
    )  # fmt: skip


@pytest.fixture(scope="module")
def champion(tiny_base: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    folder = tmp_path_factory.mktemp("champion")
    tuned = tune(tiny_base, folder)
    return saved_model(folder / "output" / "model", tuned.model_digest, "champion")


def test_known_classes_keep_their_weights_in_any_order(tiny_base: BaseModel, champion: BaseModel) -> None:
    theirs = load_classifier(champion.path).model
    labels = ("another", *reversed(LABELS))
    model: Any = build_model(job(tiny_base, labels), MethodSpec(), champion)

    assert model.config.num_labels == model.classifier.out_features == 4
    for index, label in enumerate(labels[1:], start=1):
        assert torch.equal(model.classifier.weight[index], theirs.classifier.weight[LABELS.index(label)])
        assert torch.equal(model.classifier.bias[index], theirs.classifier.bias[LABELS.index(label)])
    assert 0 < model.classifier.weight[0].abs().mean() < 1 and model.classifier.bias[0] == 0
    inner = "bert.encoder.layer.1.output.dense.weight"
    assert torch.equal(model.state_dict()[inner], theirs.state_dict()[inner])
    assert not model.bert.embeddings.word_embeddings.weight.requires_grad


def test_a_class_that_is_gone_is_dropped(tiny_base: BaseModel, champion: BaseModel) -> None:
    theirs = load_classifier(champion.path).model
    model: Any = build_model(job(tiny_base, LABELS[1:]), MethodSpec(), champion)
    assert torch.equal(model.classifier.weight, theirs.classifier.weight[1:])


@pytest.mark.parametrize("method", [MethodSpec(), MethodSpec(name="lora", rank=4)], ids=["full", "lora"])
def test_training_goes_on_where_the_champion_stood(
    tiny_base: BaseModel, champion: BaseModel, tmp_path: Path, method: MethodSpec
) -> None:
    short = SETTINGS.model_copy(update={"epochs": 0.2, "learning_rate": 1e-4})
    fresh = tune(tiny_base, tmp_path / "fresh", method=method, training=short)
    gone_on = tune(tiny_base, tmp_path / "on", method=method, training=short, champion=champion)
    assert fresh.history.validations[-1].accuracy < 0.7
    assert gone_on.history.validations[-1].accuracy == 1.0
    assert load_classifier(tmp_path / "on" / "output" / "model").labels == LABELS


def test_dropout_is_the_spec_s_and_the_configuration_stays(tiny_base: BaseModel) -> None:
    def rates(model: nn.Module) -> set[float]:
        return {module.p for module in model.modules() if isinstance(module, nn.Dropout)}

    own = build_model(job(tiny_base), MethodSpec())
    off: Any = build_model(job(tiny_base, settings=SETTINGS.model_copy(update={"dropout": 0.0})), MethodSpec())
    assert (rates(own), rates(off)) == ({0.1}, {0.0})
    assert off.config.hidden_dropout_prob == 0.1
    off.train()
    ids = torch.tensor([[2, 4, 5, 3]])
    assert torch.equal(off(input_ids=ids).logits, off(input_ids=ids).logits), "nothing random is left"
