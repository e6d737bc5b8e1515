"""Phases of a run: each is done once, a crash in any of them changes nothing, teachers and students fit together."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from ftcore.errors import BaseModelError, DataRefused, UsageError
from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.models.loading import load_classifier
from ftcore.spec import AdaptSpec, CurriculumSpec, DistillSpec, MethodSpec, PreferSpec, TrainingSpec
from ftcore.training import teachers
from ftcore.training.phases import Extra, Run, Tuned, require_teacher
from ftcore.training.teachers import soft_loss, spread_layers, teacher_outputs
from ftcore.training.trainer import DurableTrainer
from tests.tiny_bert import LABELS, build_tiny_bert, make_rows, with_mask_token
from tests.tiny_families import build_tiny, make_chats, make_ratings

TRAIN, VALIDATION = make_rows(36, seed=2), make_rows(18, seed=1)
CHATS, CHATS_HELD_OUT = make_chats(40), make_chats(10, seed=1)
SETTINGS = TrainingSpec(batch_size=8, epochs=2, learning_rate=4e-3, max_length=64, patience=0)
CPU = Device("cpu", "fp32", 1)
ADAPT = AdaptSpec(epochs=2, learning_rate=1e-3)
HALF = DistillSpec(student_layers=1)
KTO = PreferSpec(data=["x"], epochs=2, learning_rate=1e-2)
DPO = PreferSpec(algorithm="dpo", data=["x"], epochs=2, learning_rate=1e-2)


class Crash(BaseException):
    """Not an Exception, so that no handler swallows it."""


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BaseModel]:
    folder = tmp_path_factory.mktemp("bases")
    bert = with_mask_token(build_tiny_bert(folder / "bert"))
    return {"bert": bert, "llama": build_tiny("llama", folder / "llama")}


@pytest.fixture
def run(bases: dict[str, BaseModel], tmp_path: Path) -> Callable[..., Tuned]:
    def go(method: MethodSpec, name: str = "run", **changes: Any) -> Tuned:
        classify = method.prefer is None and changes.pop("classify", True)
        rows: tuple[Any, Any, Any] = (TRAIN, VALIDATION, LABELS) if classify else (CHATS, CHATS_HELD_OUT, ())
        extra = Extra(
            texts=[str(row["text"]) for row in TRAIN],
            preferences=make_ratings(
                changes.pop("num_ratings", 40), pairs=method.prefer is not None and method.prefer.algorithm == "dpo"
            ),
            teacher=changes.pop("teacher", None),
        )
        return Run(
            *rows, task="classification" if classify else "instruction", base=bases["bert" if classify else "llama"],
            method=method, training=SETTINGS.model_copy(update=changes), device=CPU,
            checkpoint_dir=tmp_path / name / "checkpoints", output_dir=tmp_path / name / "output", extra=extra,
        ).go()  # fmt: skip

    return go


def crash_at(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """At the `count`-th forward pass of the process, in whatever phase that is."""
    original, seen = DurableTrainer.training_step, [0]

    def training_step(self: DurableTrainer, *args: Any, **kwargs: Any) -> torch.Tensor:
        seen[0] += 1
        if seen[0] == count:
            raise Crash
        return original(self, *args, **kwargs)

    monkeypatch.setattr(DurableTrainer, "training_step", training_step)


def steps_taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    original, seen = DurableTrainer.training_step, [0]

    def training_step(self: DurableTrainer, *args: Any, **kwargs: Any) -> torch.Tensor:
        seen[0] += 1
        return original(self, *args, **kwargs)

    monkeypatch.setattr(DurableTrainer, "training_step", training_step)
    return seen


CASES = {  # method, forward passes before the crash
    "adapt": (MethodSpec(adapt=ADAPT), 6),
    "distill": (MethodSpec(distill=HALF), 15),
    "curriculum": (MethodSpec(curriculum=CurriculumSpec(difficulty="base_loss")), 7),
    "kto": (MethodSpec(prefer=KTO), 16),
    "dpo": (MethodSpec(name="lora", rank=4, target_modules=["q_proj"], prefer=DPO), 16),
}


@pytest.mark.parametrize("case", list(CASES))
def test_a_crash_in_any_phase_changes_nothing(
    case: str, run: Callable[..., Tuned], monkeypatch: pytest.MonkeyPatch
) -> None:
    method, count = CASES[case]
    whole = run(method, "whole")
    crash_at(monkeypatch, count)
    with pytest.raises(Crash):
        run(method, "broken")
    monkeypatch.undo()
    again = run(method, "broken")
    assert again.tuned.model_digest == whole.tuned.model_digest
    assert again.tuned.history.to_json() == whole.tuned.history.to_json()
    assert again.taught_by == whole.taught_by


@pytest.mark.parametrize("phase", [{"adapt": ADAPT}, {"distill": HALF}], ids=["adapt", "student"])
def test_an_adapter_on_weights_that_are_not_kept_is_not_kept(
    phase: dict[str, Any], run: Callable[..., Tuned], tmp_path: Path
) -> None:
    run(MethodSpec(name="lora", rank=2, **phase), "phase", epochs=1)
    run(MethodSpec(name="lora", rank=2), "plain", epochs=1)
    assert [(tmp_path / name / "output" / "adapter").is_dir() for name in ("phase", "plain")] == [False, True]


def test_without_ratings_the_run_is_the_one_without_the_phase(run: Callable[..., Tuned]) -> None:
    plain, waiting = run(MethodSpec(), "plain", classify=False), run(MethodSpec(prefer=KTO), "waiting", num_ratings=0)
    assert waiting.tuned.model_digest == plain.tuned.model_digest and waiting.phases == ()


def test_a_finished_phase_is_not_trained_again(run: Callable[..., Tuned], monkeypatch: pytest.MonkeyPatch) -> None:
    method = MethodSpec(distill=HALF)
    crash_at(monkeypatch, 12)  # the teacher takes 10 steps
    with pytest.raises(Crash):
        run(method)
    monkeypatch.undo()
    taken = steps_taken(monkeypatch)
    monkeypatch.setattr(teachers, "_forward_all", None)  # nor does the teacher read the rows again
    tuned = run(method)
    assert taken == [10]
    assert [phase.name for phase in tuned.phases] == ["teacher"] and tuned.phases[0].train_s == 0
    assert tuned.phases[0].num_steps == 10


def test_a_damaged_result_of_a_phase_is_made_again(
    run: Callable[..., Tuned], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = MethodSpec(distill=HALF)
    whole = run(method, epochs=1)
    weights = tmp_path / "run" / "checkpoints" / "teacher" / "output" / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    taken = steps_taken(monkeypatch)
    assert run(method, epochs=1).tuned.model_digest == whole.tuned.model_digest
    assert taken == [5], "the teacher; the student's own checkpoints are whole"


def test_a_student_has_the_layers_it_was_given_and_learns(run: Callable[..., Tuned], tmp_path: Path) -> None:
    tuned = run(MethodSpec(distill=HALF.model_copy(update={"embedding_weight": 1.0, "epochs": 8.0})), epochs=6)
    student = load_classifier(tmp_path / "run" / "output" / "model")
    teacher = load_classifier(tmp_path / "run" / "checkpoints" / "teacher" / "output" / "model")
    assert (student.model.config.num_hidden_layers, teacher.model.config.num_hidden_layers) == (1, 2)
    assert tuned.tuned.num_steps == 40
    assert max(seen.accuracy or 0 for seen in tuned.tuned.history.validations) > 0.9
    assert (tmp_path / "run" / "output" / "history-teacher.json").is_file()
    kept = "bert.embeddings.word_embeddings.weight"  # frozen by default, so still the teacher's
    files = [tmp_path / "run" / at / "model" / "model.safetensors" for at in ("output", "checkpoints/teacher/output")]
    one, other = (load_file(file)[kept] for file in files)
    assert torch.equal(one, other)


def test_a_decoder_learns_from_a_decoder(run: Callable[..., Tuned]) -> None:
    tuned = run(MethodSpec(distill=HALF), classify=False, learning_rate=1e-2)
    losses = [seen.loss for seen in tuned.tuned.history.validations]
    assert losses[-1] < losses[0] < math.log(60)
    assert tuned.phases[0].name == "teacher" and tuned.taught_by


def test_a_teacher_of_another_family_is_refused(run: Callable[..., Tuned], tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    other = build_tiny("llama", tmp_path / "other")
    tokenizer = AutoTokenizer.from_pretrained(other.path)
    tokenizer.add_tokens(["<more>"])
    tokenizer.save_pretrained(other.path)
    with pytest.raises(BaseModelError, match="has another tokenizer"):
        run(MethodSpec(distill=DistillSpec(teacher=str(other.path))), classify=False, teacher=other)


def test_a_teacher_must_know_every_class(
    run: Callable[..., Tuned], tmp_path: Path, bases: dict[str, BaseModel]
) -> None:
    run(MethodSpec(), epochs=1)
    teacher = BaseModel(tmp_path / "run" / "output" / "model", "d" * 64, "small")
    with pytest.raises(DataRefused, match="knows 3 of the 4 classes; first unknown: more"):
        teacher_outputs(teacher, ["card"], (*LABELS, "more"), 16, CPU, tmp_path)
    seen = teacher_outputs(teacher, ["card lost", "money"], LABELS[::-1], 16, CPU, tmp_path)
    straight = teacher_outputs(teacher, ["card lost", "money"], LABELS, 16, CPU, tmp_path)
    assert torch.equal(seen["logits"], straight["logits"].flip(1)), "columns follow the student's classes"


def test_a_student_cannot_have_more_layers_than_its_teacher(run: Callable[..., Tuned]) -> None:
    with pytest.raises(BaseModelError, match="has 2 layers; a student cannot have 2"):
        run(MethodSpec(distill=DistillSpec(student_layers=2)), epochs=0.2)


def test_a_trial_leaves_nothing_and_is_asked_in_its_last_phase_alone(
    bases: dict[str, BaseModel], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[int] = []
    done = Run(
        TRAIN, VALIDATION, LABELS, "classification", bases["bert"], MethodSpec(distill=HALF), SETTINGS, CPU,
        tmp_path / "checkpoints", None, on_validation=lambda history: seen.append(len(history.validations)),
    ).go()  # fmt: skip
    assert seen == list(range(1, len(done.tuned.history.validations) + 1))
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoints"] and done.tuned.model_digest == ""
    assert "validation loss" not in capsys.readouterr().err


def test_every_phase_is_checked_before_it_trains(run: Callable[..., Tuned], tmp_path: Path) -> None:
    method = MethodSpec(adapt=ADAPT, distill=HALF)
    wanted = {"preflight-adapt.json": "texts", "preflight-teacher.json": "labels", "preflight.json": "labels"}
    run(method, epochs=0.2)
    for name, check in wanted.items():
        found = json.loads((tmp_path / "run" / "output" / name).read_text(encoding="utf-8"))
        assert {check, "embeddings", "padding", "memory"} == {finding["check"] for finding in found}
        assert not any(finding["verdict"] == "fault" for finding in found)


def test_the_order_of_a_curriculum_is_that_of_the_run(run: Callable[..., Tuned]) -> None:
    method = MethodSpec(curriculum=CurriculumSpec(start_fraction=0.1, until=1.0))
    easy, plain = run(method, "easy", max_steps=3), run(MethodSpec(), "plain", max_steps=3)
    assert easy.tuned.num_steps == plain.tuned.num_steps == 3
    assert easy.tuned.history.loss != plain.tuned.history.loss


def test_an_adapter_beside_the_weights_is_no_teacher(run: Callable[..., Tuned], tmp_path: Path) -> None:
    run(MethodSpec(name="prompt_tuning", virtual_tokens=2), epochs=0.2)
    teacher = BaseModel(tmp_path / "run" / "output" / "model", "d" * 64, "virtual")
    with pytest.raises(BaseModelError, match="virtual has an adapter beside its weights"):
        run(MethodSpec(distill=DistillSpec(teacher="t")), "student", teacher=teacher)


def test_no_champion_is_no_teacher() -> None:
    require_teacher("champion", "d")
    require_teacher("new", None)
    with pytest.raises(UsageError, match="no model has been promoted yet"):
        require_teacher("champion", None)


def test_soft_loss_is_hinton_s() -> None:
    student, teacher = torch.tensor([[1.0, 0.0], [0.0, 3.0]]), torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    wanted = 0.0
    for row in range(2):
        p, q = (torch.softmax(logits[row] / 2, dim=-1).tolist() for logits in (teacher, student))
        wanted += 4 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert float(soft_loss(student, teacher, 2.0)) == pytest.approx(wanted, rel=1e-5)
    assert float(soft_loss(teacher, teacher, 3.0)) == pytest.approx(0.0, abs=1e-6)


@given(st.integers(2, 48).flatmap(lambda depth: st.tuples(st.just(depth), st.integers(1, depth))))
def test_layers_are_spread_from_first_to_last(pair: tuple[int, int]) -> None:
    depth, count = pair
    kept = spread_layers(depth, count)
    assert len(set(kept)) == count and kept == sorted(kept) and kept[0] == 0
    assert count == 1 or kept[-1] == depth - 1
    gaps = [b - a for a, b in zip(kept, kept[1:], strict=False)]
    assert not gaps or max(gaps) - min(gaps) <= 1
