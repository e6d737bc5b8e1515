"""A study's budget and storage."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.errors import ServiceUnavailable
from ftcore.models.base import BaseModel
from ftcore.tuning.space import own_params, settings_of
from ftcore.tuning.study import URL, covered, open_study, sampler
from tests.tiny_search import make_search, make_spec

NOON = datetime(2026, 1, 1, 12)
SPANS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=8)


@given(SPANS)
def test_time_side_by_side_counts_once(pairs: list[tuple[int, int]]) -> None:
    spans = [(NOON + timedelta(seconds=min(pair)), NOON + timedelta(seconds=max(pair))) for pair in pairs]
    seconds = {second for pair in pairs for second in range(min(pair), max(pair))}
    assert covered(spans).total_seconds() == len(seconds)


def test_own_settings_are_tried_first_where_the_space_holds_them(tiny_base: BaseModel, home: Path) -> None:
    lists = {"method.target_modules": {"choices": [None, ["query"]]}}
    spec = make_spec(tiny_base, lists)
    params = own_params(spec)
    assert params == {"method.target_modules": "null"}
    assert settings_of(params, spec) == {"method.target_modules": None}
    assert settings_of({"method.target_modules": '["query"]'}, spec) == {"method.target_modules": ["query"]}
    for path, dimension in (
        ("training.learning_rate", {"low": 1e-5, "high": 1e-4}),
        ("training.epochs", {"low": 1, "high": 2.5, "step": 1.5}),
        ("training.dropout", {"low": 0, "high": 0.5}),
        ("training.batch_size", {"choices": [4, 16]}),
    ):
        assert own_params(make_spec(tiny_base, {path: dimension})) is None
    rate = settings_of({"training.learning_rate": 0.00012345678}, make_spec(tiny_base))
    assert rate == {"training.learning_rate": 0.000123457}
    whole = {"training.head_rate_factor": {"choices": [1, 4]}}
    assert own_params(make_spec(tiny_base, whole)) == {"training.head_rate_factor": 1}, "1.0 in the spec"
    assert own_params(make_spec(tiny_base, {"training.dropout": {"choices": [None, 0.1]}})) == {
        "training.dropout": None
    }
    assert own_params(make_spec(tiny_base, {"training.batch_size": {"low": 4, "high": 16, "step": 4}})) is not None


def test_a_journal_on_shared_storage_holds_the_study_as_well(
    tiny_base: BaseModel, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL, f"journal:{home / 'trials.log'}")
    search = make_search(home, make_spec(tiny_base))
    (waiting,) = open_study(search).trials
    assert open_study(search).trials == [waiting] and not (search.folder / "study.db").exists()


def test_a_storage_that_does_not_answer_is_told_without_its_password(
    tiny_base: BaseModel, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL, f"journal:{home}/nowhere/secret/trials.log")
    with pytest.raises(ServiceUnavailable, match=URL) as caught:
        open_study(make_search(home, make_spec(tiny_base)))
    assert "secret" not in str(caught.value)


def test_the_next_draw_depends_on_seed_worker_and_progress_alone(tiny_base: BaseModel, home: Path) -> None:
    search = make_search(home, make_spec(tiny_base))
    study = open_study(search)
    study.tell(study.ask(), 1.0)  # the spec's own

    def draw(worker: int) -> float:
        study.sampler = sampler(search, study, worker)
        trial = study.ask()
        value = trial.suggest_float("training.learning_rate", 1e-4, 1e-2, log=True)
        trial.set_user_attr("given_up", True)
        study.tell(trial, state=__import__("optuna").trial.TrialState.FAIL)
        return value

    assert draw(0) == draw(0) != draw(1)
