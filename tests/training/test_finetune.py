"""Fine-tuning end to end on a tiny model: learning, exact resume, damage, divergence, what is saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ftcore.errors import BaseModelError, DataRefused, IntegrityError, TrainingDiverged
from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.models.loading import load_classifier
from ftcore.spec import MethodSpec, TrainingSpec
from ftcore.training import checkpoints, classification, finetune
from ftcore.training.attempts import build_model
from ftcore.training.classification import Classification, ClassifierTrainer
from ftcore.training.finetune import FineTuned, fine_tune
from ftcore.training.methods import saving
from tests.tiny_bert import LABELS, make_rows

TRAIN, VALIDATION = make_rows(60), make_rows(18, seed=1)
ENOUGH = make_rows(120, seed=2)  # to learn the task in 4 epochs of 15 steps
# 60 rows in batches of 8: 8 steps an epoch; a validation every 5 steps falls inside epochs
SETTINGS = TrainingSpec(
    batch_size=8, epochs=3, learning_rate=4e-3, max_length=16, eval_every=0.6, patience=0, max_grad_norm=0.5
)
FULL, LORA = MethodSpec(), MethodSpec(name="lora", rank=4, dropout=0.1)


class Crash(BaseException):
    """Not an Exception, so that no handler of ours or the library's swallows it."""


@pytest.fixture
def tune(tiny_base: BaseModel, cpu: Device, tmp_path: Path) -> Callable[..., FineTuned]:
    def run(name: str = "run", method: MethodSpec = FULL, **changes: Any) -> FineTuned:
        train, validation = changes.pop("train", TRAIN), changes.pop("validation", VALIDATION)
        device = changes.pop("device", cpu)
        return fine_tune(
            train, validation, LABELS, base=tiny_base, method=method, training=SETTINGS.model_copy(update=changes),
            device=device, checkpoint_dir=tmp_path / name / "checkpoints", output_dir=tmp_path / name / "output",
        )  # fmt: skip

    return run


@pytest.fixture(scope="module")
def unbroken(tiny_base: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, FineTuned]:
    """One run of each method that nothing interrupts."""
    runs = {}
    for method in (FULL, LORA):
        folder = tmp_path_factory.mktemp("unbroken")
        runs[method.name] = fine_tune(
            TRAIN, VALIDATION, LABELS, base=tiny_base, method=method, training=SETTINGS,
            device=Device("cpu", "fp32", 1), checkpoint_dir=folder / "checkpoints", output_dir=folder / "output",
        )  # fmt: skip
    return runs


def crash_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    original = ClassifierTrainer.training_step

    def training_step(self: ClassifierTrainer, *args: Any, **kwargs: Any) -> torch.Tensor:
        if self.state.global_step + 1 == step:
            raise Crash
        return original(self, *args, **kwargs)

    monkeypatch.setattr(ClassifierTrainer, "training_step", training_step)


def same_run(one: FineTuned, other: FineTuned) -> bool:
    return one.model_digest == other.model_digest and one.history.to_json() == other.history.to_json()


def test_learns_and_saves_what_it_says(tune: Callable[..., FineTuned], tmp_path: Path) -> None:
    tuned = tune(train=ENOUGH, epochs=4)
    output = tmp_path / "run" / "output"

    assert tuned.history.validations[-1].accuracy == 1.0
    assert tuned.num_steps == 60 == len(tuned.history.loss) == len(tuned.history.grad_norm)
    assert tuned.best_validation_loss == min(validation.loss for validation in tuned.history.validations)
    assert tuned.history.learning_rate[0] == 0.0 and tuned.history.learning_rate[4] == 4e-3  # 4 steps of warm-up
    assert tuned.history.learning_rate[-1] == pytest.approx(4e-3 / 56)
    assert {"config.json", "model.safetensors", "labels.json", "MANIFEST.json", "tokenizer.json"} <= {
        path.name for path in (output / "model").iterdir()
    }
    assert json.loads((output / "history.json").read_text())["validations"][0]["step"] == 9
    assert load_classifier(output / "model").labels == LABELS


@pytest.mark.parametrize("step", [7, 12], ids=["mid-epoch", "second-epoch"])
@pytest.mark.parametrize("method", [FULL, LORA], ids=["full", "lora"])
def test_a_resumed_run_equals_an_unbroken_one(
    tune: Callable[..., FineTuned],
    unbroken: dict[str, FineTuned],
    method: MethodSpec,
    step: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crash_at(monkeypatch, step)
    with pytest.raises(Crash):
        tune("broken", method)
    monkeypatch.undo()
    resumed = tune("broken", method)

    assert resumed.resumed_from == (step - 1) // 5 * 5
    assert same_run(resumed, unbroken[method.name])


def test_a_checkpoint_at_the_end_of_an_epoch_resumes_as_well(
    tune: Callable[..., FineTuned], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tune("whole", eval_every=1.0, epochs=2)
    crash_at(monkeypatch, 10)
    with pytest.raises(Crash):
        tune("broken", eval_every=1.0, epochs=2)
    monkeypatch.undo()
    resumed = tune("broken", eval_every=1.0, epochs=2)

    assert resumed.resumed_from == 8
    assert same_run(resumed, whole)


@pytest.mark.parametrize("damage", ["truncated", "zeroed", "flipped", "unfinished"])
def test_a_damaged_checkpoint_is_passed_over(
    tune: Callable[..., FineTuned],
    unbroken: dict[str, FineTuned],
    damage: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crash_at(monkeypatch, 18)
    with pytest.raises(Crash):
        tune("broken")
    monkeypatch.undo()
    newest = tmp_path / "broken" / "checkpoints" / "checkpoint-15"
    hurt(newest, damage)
    resumed = tune("broken")

    assert resumed.resumed_from == 10
    assert same_run(resumed, unbroken["full"])


def hurt(checkpoint: Path, how: str) -> None:
    weights = checkpoint / "optimizer.pt"
    data = bytearray(weights.read_bytes())
    if how == "truncated":
        weights.write_bytes(data[: len(data) // 2])
    elif how == "zeroed":
        weights.write_bytes(bytes(len(data)))
    elif how == "flipped":
        data[len(data) // 2] ^= 1
        weights.write_bytes(data)
    else:
        (checkpoint / "MANIFEST.json").unlink()


def test_a_damaged_best_checkpoint_is_not_built_upon(tune: Callable[..., FineTuned], tmp_path: Path) -> None:
    # the validation labels contradict the training labels, so the first validation stays the best
    against = [{**row, "label": LABELS[(LABELS.index(row["label"]) + 1) % 3]} for row in VALIDATION]
    first = tune(validation=against)
    assert first.best_step == 5
    hurt(tmp_path / "run" / "checkpoints" / "checkpoint-5", "flipped")

    again = tune(validation=against)
    assert again.resumed_from is None
    assert same_run(first, again)


def test_early_stopping_counts_on_after_a_crash(
    tune: Callable[..., FineTuned], monkeypatch: pytest.MonkeyPatch
) -> None:
    against = [{**row, "label": LABELS[(LABELS.index(row["label"]) + 1) % 3]} for row in VALIDATION]
    unbroken = tune("unbroken", validation=against, patience=2)
    assert unbroken.num_steps == 15 and unbroken.best_step == 5
    crash_at(monkeypatch, 12)
    with pytest.raises(Crash):
        tune("broken", validation=against, patience=2)
    monkeypatch.undo()

    assert same_run(tune("broken", validation=against, patience=2), unbroken)


def test_a_crash_after_the_last_step_trains_no_further(
    tune: Callable[..., FineTuned], monkeypatch: pytest.MonkeyPatch
) -> None:
    against = [{**row, "label": LABELS[(LABELS.index(row["label"]) + 1) % 3]} for row in VALIDATION]
    unbroken = tune("unbroken", validation=against, patience=2)
    monkeypatch.setattr(finetune, "_save", lambda *args: (_ for _ in ()).throw(Crash()))
    with pytest.raises(Crash):
        tune("broken", validation=against, patience=2)
    monkeypatch.undo()
    crash_at(monkeypatch, 16)

    assert same_run(tune("broken", validation=against, patience=2), unbroken)


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_nan_stops_within_the_step_and_saves_nothing(
    tune: Callable[..., FineTuned], where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = ClassifierTrainer.compute_loss

    def compute_loss(self: ClassifierTrainer, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        loss = original(self, model, inputs, *args, **kwargs)
        if self.state.global_step == 6 and model.training:
            if where == "loss":
                return loss * float("nan")
            loss.register_hook(lambda gradient: gradient * float("nan"))
        return loss

    monkeypatch.setattr(ClassifierTrainer, "compute_loss", compute_loss)
    with pytest.raises(TrainingDiverged, match="at step 7"):
        tune()

    folder = tmp_path / "run" / "checkpoints"
    assert checkpoints.steps_in(folder) == [5]
    saved = load_file(folder / "checkpoint-5" / "trained.safetensors")
    assert all(torch.isfinite(tensor).all() for tensor in saved.values())
    assert not (tmp_path / "run" / "output").exists()


def test_frozen_embeddings_stay_and_the_rest_moves(
    tune: Callable[..., FineTuned], tiny_base: BaseModel, tmp_path: Path
) -> None:
    before = load_file(tiny_base.path / "model.safetensors")
    for freeze in (True, False):
        tuned = tune(str(freeze), MethodSpec(freeze_embeddings=freeze), epochs=1)
        after = load_file(tmp_path / str(freeze) / "output" / "model" / "model.safetensors")
        name = "embeddings.word_embeddings.weight"
        assert torch.equal(after[f"bert.{name}"], before[name]) == freeze
        assert (tuned.num_trainable < tuned.num_parameters) == freeze
        name = "encoder.layer.0.attention.self.query.weight"
        assert not torch.equal(after[f"bert.{name}"], before[name])


def test_frozen_layers_stay_and_the_ones_above_move(
    tune: Callable[..., FineTuned], tiny_base: BaseModel, tmp_path: Path
) -> None:
    before = load_file(tiny_base.path / "model.safetensors")
    tune("frozen", MethodSpec(freeze_layers=1, freeze_embeddings=False), epochs=1)
    after = load_file(tmp_path / "frozen" / "output" / "model" / "model.safetensors")
    names = (
        "embeddings.word_embeddings",
        "encoder.layer.0.attention.self.query",
        "encoder.layer.1.attention.self.query",
    )
    moved = [not torch.equal(after[f"bert.{name}.weight"], before[f"{name}.weight"]) for name in names]
    assert moved == [False, False, True]
    with pytest.raises(BaseModelError, match="has 2 layers; cannot freeze 3"):
        tune("too many", MethodSpec(freeze_layers=3))


def test_the_head_has_a_rate_of_its_own(tune: Callable[..., FineTuned], tiny_base: BaseModel, tmp_path: Path) -> None:
    before = build_model(Classification(TRAIN, VALIDATION, LABELS, tiny_base, SETTINGS), FULL).state_dict()
    tune("still head", head_rate_factor=1e-12, epochs=1)
    after = load_file(tmp_path / "still head" / "output" / "model" / "model.safetensors")
    moved = {name: not torch.allclose(after[name], before[name], atol=1e-9) for name in after}
    assert not moved["classifier.weight"]
    assert not moved["bert.pooler.dense.weight"]
    assert moved["bert.encoder.layer.1.output.dense.weight"]


def test_lora_leaves_an_adapter_and_a_merged_model(
    tune: Callable[..., FineTuned], tiny_base: BaseModel, tmp_path: Path
) -> None:
    tuned = tune(method=LORA, train=ENOUGH, epochs=4, learning_rate=1e-2)
    output = tmp_path / "run" / "output"

    assert tuned.history.validations[-1].accuracy > 0.9
    assert (output / "adapter" / "adapter_model.safetensors").is_file()
    assert (
        json.loads((output / "adapter" / "adapter_config.json").read_text())["base_model_name_or_path"]
        == tiny_base.name
    )
    merged = load_file(output / "model" / "model.safetensors")
    assert not [name for name in merged if "lora" in name]
    assert tuned.num_trainable < tuned.num_parameters / 2


def test_bf16_trains_and_reloads(tune: Callable[..., FineTuned]) -> None:
    tuned = tune(device=Device("cpu", "bf16", 1), train=ENOUGH, epochs=4)
    assert tuned.history.validations[-1].accuracy > 0.9


@pytest.mark.parametrize("method", [FULL, LORA], ids=["full", "lora"])
def test_what_is_saved_is_compared_with_the_attention_kernel_that_it_is_loaded_with(
    method: MethodSpec, tune: Callable[..., FineTuned], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kernels differ by rounding: 3e-5 in a language model with large weights, which is no fault of the files."""
    original, kernels, answers = Classification.logits, [], []

    def logits(self: Classification, model: Any) -> torch.Tensor:
        kernels.append(model.config._attn_implementation)
        answers.append(original(self, model))
        return answers[-1]

    monkeypatch.setattr(Classification, "logits", logits)
    tune(method=method, epochs=1)  # on the CPU, which trains with eager attention
    assert len(kernels) >= 2 and set(kernels) == {"sdpa"}
    assert torch.equal(answers[-2], answers[-1])


def test_a_model_that_reloads_differently_is_an_error(
    tune: Callable[..., FineTuned], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = classification.load_classifier

    def spoiled(folder: Path) -> Any:
        loaded = original(folder)
        loaded.model.classifier.bias.data[0] += 0.01
        return loaded

    monkeypatch.setattr(classification, "load_classifier", spoiled)
    with pytest.raises(IntegrityError, match="Saving and loading changed the logits"):
        tune(epochs=1)


def test_a_merge_that_changes_answers_is_an_error_and_leaves_no_model(
    tune: Callable[..., FineTuned], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    original = saving.merged

    def spoiled(model: Any) -> Any:
        merged = original(model)
        merged.bert.encoder.layer[0].attention.self.query.weight.data *= 1.01
        return merged

    monkeypatch.setattr(saving, "merged", spoiled)
    with pytest.raises(IntegrityError, match="Merging the adapter changed the logits"):
        tune(method=LORA, epochs=1)
    assert not (tmp_path / "run" / "output" / "model").exists()


def test_rows_that_cannot_be_trained_on_are_refused(tune: Callable[..., FineTuned]) -> None:
    with pytest.raises(DataRefused, match="no rows"):
        tune(validation=[])
    with pytest.raises(DataRefused, match="1 of 2 rows have a label"):
        tune(train=[TRAIN[0], {"text": "card", "label": "unheard of"}])


def test_only_two_checkpoints_and_the_best_are_kept(tune: Callable[..., FineTuned], tmp_path: Path) -> None:
    against = [{**row, "label": LABELS[(LABELS.index(row["label"]) + 1) % 3]} for row in VALIDATION]
    tune(validation=against)
    assert checkpoints.steps_in(tmp_path / "run" / "checkpoints") == [5, 20, 24]
