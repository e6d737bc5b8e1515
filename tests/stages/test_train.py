"""The stage: prepared rows in, a record and a loadable model out; twice the same."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from ftcore.errors import BaseModelError, UsageError
from ftcore.models.loading import load_classifier
from ftcore.records import PreparedDataset, TrainingRun
from ftcore.spec import FineTuneSpec
from ftcore.stages import train
from ftcore.store import Store
from tests.tiny_bert import LABELS, build_tiny_bert, make_rows


@pytest.fixture
def prepared(home: Path) -> PreparedDataset:
    folder = home / "stages" / "prepare" / "k"
    folder.mkdir(parents=True)
    for split, rows in (("train", make_rows(24)), ("validation", make_rows(9, seed=1))):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "labels.json").write_text(json.dumps(LABELS))
    return PreparedDataset(
        uri="stages/prepare/k", content_digest="c" * 64, train_digest="r" * 64, labels=LABELS, num_rows={},
        num_quarantined={}, num_tokens={}, test_digest="t" * 64,
    )  # fmt: skip


def run(
    base: str, prepared: PreparedDataset, key: str, method: dict[str, Any] | None = None, **base_model: str
) -> TrainingRun:
    spec = FineTuneSpec.model_validate(
        {
            "name": "tiny",
            "base_model": {"name": base, **base_model},
            "method": method or {},
            "training": {"epochs": 2, "batch_size": 8, "max_length": 16},
            "compute": {"device": "cpu", "precision": "fp32", "threads": 1},
        }
    )
    store = Store()
    with store.writing("train", key) as output:
        record = train.run(spec, {"prepare": prepared}, output, store)
        store.commit(output, record, {})
    assert store.find("train", key) == record
    return record


def test_a_candidate_comes_out_and_twice_the_same(prepared: PreparedDataset, tmp_path: Path, home: Path) -> None:
    base = build_tiny_bert(tmp_path / "base")
    one, two = run(str(base.path), prepared, "one"), run(str(base.path), prepared, "two")

    assert (one.num_steps, one.num_epochs, one.method, one.device, one.precision) == (6, 2.0, "full", "cpu", "fp32")
    assert one.data_digest == prepared.train_digest and one.base_digest == base.digest
    assert load_classifier(home / one.uri / "model").labels == LABELS
    assert not (home / one.uri / "checkpoints").exists()
    assert not (home / "scratch" / "train" / "one").exists()
    unlike = {"uri": "", "train_s": 0.0, "samples_per_s": 0.0}
    assert dataclasses.replace(one, **unlike) == dataclasses.replace(two, **unlike)


def test_a_base_model_that_fails_its_checksum_leaves_nothing(
    prepared: PreparedDataset, tmp_path: Path, home: Path
) -> None:
    base = build_tiny_bert(tmp_path / "base")
    with pytest.raises(BaseModelError, match="has sha256"):
        run(str(base.path), prepared, "bad", sha256="0" * 64)
    assert not (home / "stages" / "train").exists()
    assert not list((home / "tmp").iterdir())


def test_few_shots_are_recorded(prepared: PreparedDataset, tmp_path: Path, home: Path) -> None:
    base = build_tiny_bert(tmp_path / "base")
    record = run(str(base.path), prepared, "few", method={"shots": 2, "name": "lora", "rank": 4})
    assert (record.shots, record.num_steps, record.method) == (2, 2, "lora")  # 6 rows in one batch, 2 epochs
    assert (home / record.uri / "adapter" / "adapter_model.safetensors").is_file()


def test_four_bits_are_refused_before_the_base_model_is_fetched(prepared: PreparedDataset, home: Path) -> None:
    with pytest.raises(UsageError, match="qlora"):
        run("org/absent", prepared, "q", method={"name": "qlora"}, revision="0" * 40)


def test_phases_are_in_the_record(prepared: PreparedDataset, tmp_path: Path, home: Path) -> None:
    base = build_tiny_bert(tmp_path / "base")
    teacher = run(str(base.path), prepared, "teacher")
    named = run(str(base.path), prepared, "named", method={"distill": {"teacher": str(home / teacher.uri / "model")}})
    assert named.phases == () and named.taught_by is not None
    own = run(str(base.path), prepared, "own", method={"distill": {"student_layers": 1}})
    assert [phase.name for phase in own.phases] == ["teacher"] and own.phases[0].num_steps == 6
    assert own.taught_by == teacher.model_digest, "the same rows, base and settings"
    assert TrainingRun.from_dict(own.to_dict()) == own
    with pytest.raises(UsageError, match="no model has been promoted yet"):
        run(str(base.path), prepared, "none", method={"distill": {"teacher": "champion"}})
