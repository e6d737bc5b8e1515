"""A space is checked against the fields it names, before anything runs; and its values reach the fields."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ftcore.errors import SpecError
from ftcore.spec import FineTuneSpec, setting_of, with_settings
from ftcore.spec.space import find_field
from ftcore.spec.tuning import TUNABLE

GOOD = {"low": 1, "high": 2}


def spec(space: dict[str, Any], **more: Any) -> FineTuneSpec:
    tuning = {"space": space, **more.pop("tuning", {})}
    return FineTuneSpec.model_validate({"name": "tiny", "base_model": {"name": "./base"}, "tuning": tuning, **more})


@pytest.mark.parametrize(
    ("path", "dimension", "said"),
    [
        ("training.nope", GOOD, "no such field; allowed: batch_size"),
        ("gate.margin", GOOD, "wanted a field of training or method"),
        ("training", GOOD, "is a section"),
        ("training.seed.x", GOOD, "no such field"),
        ("method.peft.r", GOOD, "is not a number; wanted {choices"),
        ("training.seed", GOOD, "a seed is no setting"),
        ("method.start_from", {"choices": ["base", "champion"]}, "settled before the search"),
        ("training.learning_rate", {"low": -1, "high": 1}, "-1.0 is not allowed"),
        ("training.learning_rate", {"low": 0.1}, "wanted {low: A, high: B}"),
        ("training.learning_rate", {"low": 2, "high": 1}, "wanted {low: A, high: B}"),
        ("training.weight_decay", {"low": 0, "high": 1, "log": True}, "log needs low above 0"),
        ("training.epochs", {"low": 1, "high": 2, "step": 0.3}, "lead from low to high"),
        ("method.rank", {"low": 1.5, "high": 8}, "takes whole numbers"),
        ("method.name", GOOD, "is not a number"),
        ("method.name", {"choices": ["lora", "lore"]}, "'lore' is not allowed"),
        ("method.rank", {"choices": [8]}, "at least two values"),
        ("method.rank", {"choices": [8, 8, 16]}, "each once"),
        ("method.rank", {"choices": [8, 16], "low": 1}, "saw both"),
        ("training.dropout", {"choices": [None, 2.0]}, "2.0 is not allowed"),
    ],
)
def test_what_a_field_does_not_take_is_a_fault(path: str, dimension: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        spec({path: dimension})
    (error,) = caught.value.errors()
    assert error["loc"] == ("tuning", "space", path) and said in error["msg"]


def test_all_faults_at_once_beside_those_of_other_sections() -> None:
    with pytest.raises(ValidationError) as caught:
        spec({"training.nope": GOOD, "method.rank": {"low": 2}, "training.epochs": GOOD}, training={"epochs": -1})
    assert {error["loc"] for error in caught.value.errors()} == {
        ("training", "epochs"), ("tuning", "space", "training.nope"), ("tuning", "space", "method.rank"),
    }  # fmt: skip


def test_what_would_change_the_loss_of_a_task_cannot_be_searched_for_it() -> None:
    space = {"training.max_length": {"low": 8, "high": 64}, "training.label_smoothing": {"low": 0, "high": 0.2}}
    assert spec(space).tuning.space.keys() == space.keys()
    with pytest.raises(ValidationError) as caught:
        spec(space, task="seq2seq", tuning={"metric": "accuracy"})
    places = [error["loc"] for error in caught.value.errors()]
    assert places == [("tuning", "metric"), ("tuning", "space", "training.max_length")]


def test_fields_of_peft_are_searched_by_its_names() -> None:
    plain = spec({"method.peft.r": {"choices": [4, 8]}}, method={"name": "peft", "peft": {"peft_type": "VERA", "r": 4}})
    assert with_settings(plain, {"method.peft.r": 8}).method.peft == {"peft_type": "VERA", "r": 8}


def test_means_of_checkpoints_are_searched_by_loss_only() -> None:
    space = {"training.average_checkpoints": {"choices": [0, 3]}}
    assert spec(space).tuning.space
    with pytest.raises(ValidationError, match="of the mean of checkpoints the loss is measured"):
        spec(space, tuning={"metric": "accuracy"})


def test_every_field_of_the_tunable_sections_is_found() -> None:
    for name, section in TUNABLE.items():
        for field in section.model_fields:
            found = find_field(f"{name}.{field}", TUNABLE)
            assert not isinstance(found, str) or found.startswith("is a section; wanted one of its fields: ")


@given(st.floats(1e-6, 1), st.integers(1, 512), st.sampled_from(["all-linear", ["query"]]))
def test_settings_reach_their_fields_and_nothing_else_moves(rate: float, rank: int, modules: Any) -> None:
    settings = {"training.learning_rate": rate, "method.rank": rank, "method.target_modules": modules}
    plain = spec({"method.rank": GOOD}, method={"name": "lora"})
    changed = with_settings(plain, settings)
    assert {path: setting_of(changed, path) for path in settings} == settings
    back = {path: setting_of(plain, path) for path in settings}
    assert with_settings(changed, back) == plain and changed.root == plain.root


def test_settings_that_do_not_go_are_faults_by_name() -> None:
    with pytest.raises(SpecError) as caught:
        with_settings(spec({}), {"training.epochs": 0, "method.nope": 1})
    assert len(caught.value.details) == 2
