"""Phases are looked at before any of them is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftcore.models.base import BaseModel, saved_model
from ftcore.models.devices import Device
from ftcore.models.loading import load_classifier, save_classifier
from ftcore.spec import AdaptSpec, DistillSpec, MethodSpec, PreferSpec, TrainingSpec
from ftcore.training.finetune import fine_tune
from ftcore.training.phase_checks import check_phases
from ftcore.training.phases import Extra, Run
from tests.tiny_bert import LABELS, build_tiny_bert, make_rows, with_mask_token
from tests.tiny_families import build_base, build_tiny, make_chats, make_ratings

CPU = Device("cpu", "fp32", 1)
KTO = MethodSpec(prefer=PreferSpec(data=["x"]))
Check = Callable[..., Any]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BaseModel]:
    folder = tmp_path_factory.mktemp("bases")
    bert = with_mask_token(build_tiny_bert(folder / "bert"))
    return {"bert": bert, "llama": build_tiny("llama", folder / "llama"), "words": build_base(folder / "words")}


@pytest.fixture
def check(bases: dict[str, BaseModel], tmp_path: Path) -> Check:
    def found(method: MethodSpec, base: str = "bert", extra: Extra = Extra(), **settings: Any) -> Any:
        """The only finding, or all of them."""
        classify = base == "bert"
        rows: tuple[Any, Any, Any] = (
            (make_rows(9), make_rows(9), LABELS) if classify else (make_chats(9), make_chats(9), ())
        )
        training = TrainingSpec(**{"batch_size": 4, "max_length": 64, **settings})
        task: Any = "classification" if classify else "instruction"
        run = Run(*rows, task, bases[base], method, training, CPU, tmp_path / "none", None, extra=extra)
        findings = check_phases(run)
        assert not (tmp_path / "none").exists()
        return findings[0] if len(findings) == 1 else findings

    return found


def test_nothing_is_said_of_phases_that_are_not_there(check: Check) -> None:
    assert check(MethodSpec()) == []


def test_texts(
    check: Check, tiny_base: BaseModel, bases: dict[str, BaseModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    adapt, texts = (
        MethodSpec(adapt=AdaptSpec()),
        [f"{row['text']} {number}" for number, row in enumerate(make_rows(60))],
    )
    good = check(adapt, extra=Extra(texts=texts))
    assert (good.check, good.verdict) == ("texts", "ok") and "more to choose the checkpoint" in good.message
    few = check(adapt, extra=Extra(texts=texts[:19]))
    assert few.verdict == "fault" and few.message.startswith("19 different texts") and "method.adapt.texts" in few.hint
    monkeypatch.setitem(bases, "bert", tiny_base)  # its tokenizer has no mask token
    assert "no mask token" in check(adapt, extra=Extra(texts=texts)).message


@pytest.fixture(scope="module")
def teacher(bases: dict[str, BaseModel], tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    folder = tmp_path_factory.mktemp("teacher")
    done = fine_tune(
        make_rows(9), make_rows(9), LABELS, base=bases["bert"], method=MethodSpec(), device=CPU,
        training=TrainingSpec(batch_size=8, max_steps=1, max_length=16), checkpoint_dir=folder / "c", output_dir=folder / "o",
    )  # fmt: skip
    return saved_model(folder / "o" / "model", done.model_digest, "a teacher")


def test_a_teacher_of_its_own_needs_more_layers_than_the_student(check: Check) -> None:
    assert check(MethodSpec(distill=DistillSpec(student_layers=1))).message.endswith("1 of 2 layers for the student")
    deep = check(MethodSpec(distill=DistillSpec(student_layers=2)))
    assert (deep.verdict, deep.hint) == ("fault", "--set method.distill.student_layers=1")


def test_a_teacher_must_load_and_know_the_classes(check: Check, teacher: BaseModel, tmp_path: Path) -> None:
    distill = MethodSpec(distill=DistillSpec(teacher="x"))
    good = check(distill, extra=Extra(teacher=teacher))
    assert (good.verdict, good.message) == ("ok", "it loads, knows all 3 classes; 2 layers")
    loaded = load_classifier(teacher.path)
    digest = save_classifier(loaded.model, loaded.tokenizer, ("card", "money", "other"), tmp_path / "other")
    other = check(distill, extra=Extra(teacher=saved_model(tmp_path / "other", digest, "another")))
    assert other.verdict == "fault" and "knows 2 of the 3 classes" in other.message
    weights = tmp_path / "other" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert check(distill, extra=Extra(teacher=BaseModel(tmp_path / "other", digest, "a torn one"))).verdict == "fault"
    (tmp_path / "bare").mkdir()
    assert check(distill, extra=Extra(teacher=BaseModel(tmp_path / "bare", "", "an empty one"))).verdict == "fault"


def test_embeddings_of_other_widths_cannot_be_matched(check: Check, teacher: BaseModel, tmp_path: Path) -> None:
    distill = MethodSpec(distill=DistillSpec(teacher="x", embedding_weight=1))
    assert check(distill, extra=Extra(teacher=teacher)).verdict == "ok"
    import ftcore.training.phase_checks as checks

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "_shape", lambda model: (2, 64 if model is teacher else 32))
        assert "have 32 numbers, those of the teacher 64" in check(distill, extra=Extra(teacher=teacher)).message


def test_a_teacher_of_answers_must_share_the_tokens(check: Check, bases: dict[str, BaseModel]) -> None:
    distill = MethodSpec(distill=DistillSpec(teacher="x"))
    assert check(distill, "llama", Extra(teacher=bases["llama"])).verdict == "ok"
    assert "another tokenizer" in check(distill, "llama", Extra(teacher=bases["words"])).message


def test_ratings(check: Check) -> None:
    waiting = check(KTO, "llama")
    assert (waiting.check, waiting.verdict) == ("ratings", "doubt") and "without this phase" in waiting.message
    ratings, round_trip = check(KTO, "llama", Extra(preferences=make_ratings(40)))
    assert (ratings.verdict, round_trip.check) == ("ok", "round trip")
    assert check(KTO, "llama", Extra(preferences=make_ratings(40)[::2]))[0].verdict == "doubt"  # all good
    no_room = check(KTO, "llama", Extra(preferences=make_ratings(40)), max_length=16)
    assert no_room.verdict == "fault" and "leave no room for an answer" in no_room.message
    assert "compares the rows" in check(KTO, "llama", Extra(preferences=make_ratings(40)), batch_size=1).message
