"""Model folders: what is saved loads again; what was changed does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from ftcore.errors import IntegrityError
from ftcore.models.base import BaseModel
from ftcore.models.loading import load_classifier, save_classifier
from ftcore.store import Manifest
from tests.tiny_bert import LABELS


@pytest.fixture
def folder(tiny_base: BaseModel, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(tiny_base.path, num_labels=3)
    digest = save_classifier(model, AutoTokenizer.from_pretrained(tiny_base.path), LABELS, tmp_path / "model")
    assert digest == Manifest.of(tmp_path / "model").digest
    return tmp_path / "model"


def test_round_trip(folder: Path) -> None:
    loaded = load_classifier(folder)
    assert loaded.labels == LABELS
    assert loaded.model.config.id2label == dict(enumerate(LABELS))
    assert not loaded.model.training
    for name, tensor in load_file(folder / "model.safetensors").items():
        assert torch.equal(loaded.model.state_dict()[name], tensor)


def flip(folder: Path) -> None:
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-5] ^= 1
    (folder / "model.safetensors").write_bytes(data)


def truncate(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:-100])


def nan(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["classifier.bias"][0] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def labels_cut(folder: Path) -> None:
    (folder / "labels.json").write_text(json.dumps(["card", "money"]))


def labels_gone(folder: Path) -> None:
    (folder / "labels.json").unlink()


@pytest.mark.parametrize(
    ("damage", "without_manifest"),
    [
        (flip, None),
        (truncate, "not a readable safetensors file"),
        (nan, "hold NaN or infinity"),
        (labels_cut, "3 outputs in config.json, 2 in labels.json"),
        (labels_gone, "not an ftcore model folder"),
    ],
)
def test_damage_is_found(folder: Path, damage: Callable[[Path], None], without_manifest: str | None) -> None:
    damage(folder)
    with pytest.raises(IntegrityError, match="does not match its manifest"):
        load_classifier(folder)
    if without_manifest:
        (folder / "MANIFEST.json").unlink()
        with pytest.raises(IntegrityError, match=without_manifest):
            load_classifier(folder)


def test_a_model_with_nan_is_not_saved(tiny_base: BaseModel, tmp_path: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(tiny_base.path, num_labels=3)
    model.classifier.weight.data[0, 0] = float("inf")
    with pytest.raises(IntegrityError, match="not finite"):
        save_classifier(model, AutoTokenizer.from_pretrained(tiny_base.path), LABELS, tmp_path / "model")
    assert not (tmp_path / "model").exists()
