"""The checks before training as a run meets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ftcore.errors import BaseModelError, DataRefused, UsageError
from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.spec import MethodSpec, TrainingSpec
from ftcore.training import memory, preflight
from ftcore.training.findings import Finding
from ftcore.training.finetune import check_before_training
from tests.tiny_bert import LABELS
from tests.tiny_runs import build_bases, rows_of, run

CPU = Device("cpu", "fp32", 1)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BaseModel]:
    return build_bases(tmp_path_factory.mktemp("bases"))


def checked(bases: dict[str, BaseModel], task: Any, device: Device = CPU, **settings: Any) -> dict[str, Finding]:
    rows = settings.pop("rows", None) or rows_of(task, 24)
    findings = check_before_training(
        rows, rows_of(task, 12, seed=1), LABELS if task == "classification" else (), task=task, base=bases[task],
        method=MethodSpec(), training=TrainingSpec(**({"max_length": 48} | settings)), device=device,
    )  # fmt: skip
    return {finding.check: finding for finding in findings}


CHECKS = {
    "classification": ["labels", "embeddings", "padding", "memory"],
    "instruction": ["answers", "stop", "round trip", "embeddings", "padding", "packing", "memory"],
    "seq2seq": ["answers", "stop", "round trip", "embeddings", "padding", "memory"],
}


@pytest.mark.parametrize("task", CHECKS)
def test_every_task_is_looked_at_and_nothing_changes(task: str, bases: dict[str, BaseModel]) -> None:
    state = torch.random.get_rng_state
    torch.manual_seed(3)
    findings = checked(bases, task, packing=task == "instruction")
    assert list(findings) == CHECKS[task]
    assert not [item for item in findings.values() if item.verdict == "fault"]
    first = state()
    torch.manual_seed(3)
    checked(bases, task)
    assert torch.equal(first, state())


def test_the_output_tells_what_was_checked(bases: dict[str, BaseModel], tmp_path: Path) -> None:
    tuned = run(bases, "classification", tmp_path, max_steps=1)
    written = json.loads((tmp_path / "output" / "preflight.json").read_text())
    assert [item["check"] for item in written] == CHECKS["classification"] == [item.check for item in tuned.findings]


def test_a_class_without_rows_is_refused(bases: dict[str, BaseModel], tmp_path: Path) -> None:
    rows = [row for row in rows_of("classification", 24) if row["label"] != "refund"]
    with pytest.raises(DataRefused) as caught:
        run(bases, "classification", tmp_path, train=rows)
    assert caught.value.details == ("labels: 1 of 3 classes have no training row: refund",)
    assert not (tmp_path / "output").exists()


def test_a_template_that_never_stops_is_refused(bases: dict[str, BaseModel], tmp_path: Path) -> None:
    base = build_bases(tmp_path / "bases")["instruction"]
    template = base.path / "chat_template.jinja"
    template.write_text(template.read_text().replace("+ '</s>'", ""))
    with pytest.raises(BaseModelError) as caught:
        run({"instruction": base}, "instruction", tmp_path)
    assert "the model would never learn to stop" in caught.value.details[0]


@pytest.mark.parametrize("task", ["classification", "instruction", "seq2seq"])
def test_a_token_without_an_embedding_is_refused(task: str, tmp_path: Path) -> None:
    bases = build_bases(tmp_path)
    config = json.loads((bases[task].path / "config.json").read_text()) | {"vocab_size": 8}
    (bases[task].path / "config.json").write_text(json.dumps(config))
    weights = load_file(bases[task].path / "model.safetensors")
    large = max(tensor.shape[0] for name, tensor in weights.items() if "embed" in name or "shared" in name)
    cut = {
        name: tensor[:8].clone() if tensor.shape[:1] == (large,) and large != 32 else tensor
        for name, tensor in weights.items()
    }
    if task == "classification":
        cut = {n: t[:8].clone() if "word_embeddings" in n else t for n, t in weights.items()}
    save_file(cut, bases[task].path / "model.safetensors", metadata={"format": "pt"})
    found = checked(bases, task)
    assert found["embeddings"].verdict == "fault" and "the model has 8 embeddings" in found["embeddings"].message
    assert "memory" not in found  # such rows are not sent through the model


def test_padding_that_hides_tokens_to_learn_is_a_fault(
    bases: dict[str, BaseModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As transformers' own language-modelling collator does where the padding token is the end-of-text token."""
    from ftcore.training import instruction

    original = instruction.DataCollatorForLanguageModeling.torch_call

    def masks_ends(self: Any, rows: Any) -> Any:
        batch = original(self, rows)
        if len(rows) > 1:
            batch["labels"][batch["input_ids"] == 3] = -100
        return batch

    monkeypatch.setattr(instruction.DataCollatorForLanguageModeling, "torch_call", masks_ends)
    assert checked(bases, "instruction")["padding"].verdict == "fault"


def test_where_memory_is_short_freed_blocks_go_back(
    bases: dict[str, BaseModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(memory, "give_back_at_once", lambda: asked.append(True))
    monkeypatch.setattr(preflight, "bytes_needed", lambda *args: {8: 10**9})
    for free, wanted in ((3 * 10**9, []), (2 * 10**9, [True]), (10**9 - 1, [True])):
        monkeypatch.setattr(memory, "free_bytes", lambda device, free=free: free)
        found = checked(bases, "classification", batch_size=8)["memory"]
        assert asked == wanted
        assert ("costs speed" in found.message) == (free == 2 * 10**9)


def test_too_little_memory_names_the_micro_batch_that_fits(
    bases: dict[str, BaseModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: 10**12)
    assert checked(bases, "classification", batch_size=32)["memory"].verdict == "ok"
    seen: dict[int, int] = {}
    original = preflight.bytes_needed
    monkeypatch.setattr(preflight, "bytes_needed", lambda *args: seen.update(original(*args)) or seen)
    checked(bases, "classification", batch_size=32)
    assert list(seen) == [32, 16, 8, 4, 2, 1] and seen[32] > seen[8] > seen[1]

    monkeypatch.setattr(memory, "free_bytes", lambda device: seen[8])
    found = checked(bases, "classification", batch_size=32)["memory"]
    assert (found.verdict, found.hint) == ("fault", "--set training.micro_batch_size=8")
    assert checked(bases, "classification", batch_size=32, micro_batch_size=8)["memory"].verdict == "ok"

    monkeypatch.setattr(memory, "free_bytes", lambda device: seen[1] - 1)
    monkeypatch.setattr(preflight, "require_room_for_weights", lambda *args: None)
    found = checked(bases, "classification", batch_size=32)["memory"]
    assert found.verdict == "fault" and "one row needs" in found.message and "max_length=24" in found.hint
    with pytest.raises(UsageError, match="a fault"):
        run(bases, "classification", tmp_path)

    monkeypatch.setattr(memory, "free_bytes", lambda device: None)
    assert checked(bases, "classification")["memory"].verdict == "doubt"


def test_weights_that_do_not_fit_are_not_loaded(bases: dict[str, BaseModel], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1000)
    with pytest.raises(UsageError, match="as float32"):
        checked(bases, "classification")


def test_checkpointing_is_in_the_estimate(bases: dict[str, BaseModel], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[int, int]] = []
    original = preflight.bytes_needed
    monkeypatch.setattr(preflight, "bytes_needed", lambda *args: seen.append(original(*args)) or seen[-1])
    for on in (False, True):
        monkeypatch.setattr(preflight, "_layer_bytes", lambda *args: 0.0)
        checked(bases, "instruction", gradient_checkpointing=on)
    assert seen[1][32] < seen[0][32]
