"""Trials: pruned, failed for a reason, within a budget, shared by processes, taken back from the dead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from optuna.trial import TrialState

from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.spec import FineTuneSpec
from ftcore.training.finetune import FineTuned
from ftcore.training.history import History, Validation
from ftcore.tuning import study as studies
from ftcore.tuning import trials
from ftcore.tuning.choosing import TrialRow
from ftcore.tuning.search import run_workers
from ftcore.tuning.space import distribution_of
from ftcore.tuning.study import Search, open_study, rows, take_back
from ftcore.tuning.trials import run_trials, score_of
from tests.tiny_search import make_search, make_spec

RATE = "training.learning_rate"
WIDE = {RATE: {"low": 1e-12, "high": 1e30, "log": True}, "method.freeze_layers": {"choices": [0, 7]}}


def queue(study: optuna.Study, **params: Any) -> None:
    study.enqueue_trial({name.replace("__", "."): value for name, value in params.items()})


def add_finished(study: optuna.Study, spec: FineTuneSpec, number: int) -> None:
    """A trial as good as can be, with its curve."""
    distributions = {path: distribution_of(path, dimension) for path, dimension in spec.tuning.space.items()}
    params = {RATE: 1e-3 * (1.01 + number / 100), "method.freeze_layers": 0}
    study.add_trial(
        optuna.trial.create_trial(
            params=params, distributions=distributions, value=1e-3, intermediate_values={1: 0.1, 2: 1e-3}
        )
    )


def by_rate(search: Search, study: optuna.Study) -> dict[float, TrialRow]:
    return {row.settings[RATE]: row for row in rows(study, search.spec)}


def test_a_trial_is_pruned_or_fails_with_its_reason_and_the_study_goes_on(
    tiny_base: BaseModel, home: Path, cpu: Device, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    search = make_search(home, make_spec(tiny_base, WIDE, trials=10, pruner="median"))
    study = open_study(search)
    for number in range(4):
        add_finished(study, search.spec, number)
    for rate, layers in ((1e-9, 0), (1e30, 0), (0.1, 7), (0.2, 0), (1e-3 * 1.01, 0)):
        queue(study, training__learning_rate=rate, method__freeze_layers=layers)
    original = trials.train_on

    def train_on(inputs: Any, spec: FineTuneSpec, *args: Any) -> Any:
        if spec.training.learning_rate == 0.2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 TiB")
        return original(inputs, spec, *args)

    monkeypatch.setattr(trials, "train_on", train_on)
    run_trials(search, cpu)

    found = by_rate(search, study)
    assert len(rows(study, search.spec)) == 10
    assert (found[1e-3].state, found[1e-3].is_own, len(found[1e-3].curve)) == ("complete", True, 2)
    assert (found[1e-9].state, found[1e-9].reason, len(found[1e-9].curve)) == (
        "pruned", "fell behind at validation 1", 1,
    )  # fmt: skip
    assert found[1e30].state == "failed" and "wanted a finite number" in str(found[1e30].reason)
    assert found[0.1].state == "failed" and "has 2 layers; cannot freeze 7" in str(found[0.1].reason)
    assert (found[0.2].state, found[0.2].reason) == ("failed", "out of memory")
    twin = rows(study, search.spec)[-1]
    assert (twin.score, twin.curve, twin.reason) == (1e-3, (0.1, 1e-3), "same settings as trial 1")
    assert not list(search.folder.glob("trial-*"))
    said = capsys.readouterr().err
    assert said.count("tune: trial") == 6 and "best 0.0010 (trial 1)" in said
    run_trials(search, cpu)
    assert len(rows(study, search.spec)) == 10, "the budget is used"


def test_a_trial_runs_all_phases_and_leaves_no_model(tiny_base: BaseModel, home: Path, cpu: Device) -> None:
    raw = make_spec(tiny_base, trials=2).model_dump(mode="json")
    raw["method"] = {"distill": {"student_layers": 1}}
    raw["tuning"]["space"] = {"method.distill.temperature": {"low": 1, "high": 4}}
    search = make_search(home, FineTuneSpec.model_validate(raw))
    study = open_study(search)
    run_trials(search, cpu)
    found = rows(study, search.spec)
    assert [row.state for row in found] == ["complete"] * 2 and found[0].is_own
    assert found[0].settings == {"method.distill.temperature": 2.0} and found[0].score != found[1].score
    assert not list(search.folder.glob("trial-*"))


def test_what_is_no_trials_fault_ends_the_search(
    tiny_base: BaseModel, home: Path, cpu: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = make_search(home, make_spec(tiny_base))
    monkeypatch.setattr(trials, "train_on", lambda *args: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="No space"):
        run_trials(search, cpu)
    assert rows(open_study(search), search.spec) == []


def test_minutes_end_a_search_but_never_before_a_trial_has_finished(
    tiny_base: BaseModel, home: Path, cpu: Device
) -> None:
    search = make_search(home, make_spec(tiny_base, minutes=1e-6))
    run_trials(search, cpu)
    (row,) = rows(open_study(search), search.spec)
    assert (row.state, row.is_own) == ("complete", True)


@pytest.mark.functional
def test_two_processes_share_a_study_and_one_takes_back_what_its_dead_self_left(
    tiny_base: BaseModel, home: Path, cpu: Device
) -> None:
    search = make_search(home, make_spec(tiny_base, trials=4, parallel=2))
    study = open_study(search)
    dead = study.ask()
    dead.set_user_attr(studies.WORKER, 1)
    run_workers(search, cpu, 2)
    taken_back = study.trials[dead.number]
    assert taken_back.state == TrialState.FAIL and studies.GIVEN_UP in taken_back.user_attrs
    counted = rows(study, search.spec)
    assert [row.state for row in counted] == ["complete"] * 4
    assert [row.is_own for row in counted].count(True) == 1, "the spec's own settings were tried again"
    assert {trial.user_attrs.get(studies.WORKER) for trial in study.trials} == {0, 1}


def test_a_trial_that_kills_its_process_twice_has_failed(tiny_base: BaseModel, home: Path) -> None:
    search = make_search(home, make_spec(tiny_base))
    study = open_study(search)
    for worker in (0, 1):
        trial = study.ask()
        trial.set_user_attr(studies.WORKER, worker)
        take_back(study, 1 - worker)
        assert study.trials[trial.number].state == TrialState.RUNNING, "another worker's is left alone"
        take_back(study, worker)
        take_back(study, None)
    (row,) = rows(study, search.spec)
    assert row.state == "failed" and "died twice" in str(row.reason)
    assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.FAIL]


@pytest.mark.parametrize(("maximise", "score"), [(False, 0.35), (True, 0.7)])
def test_the_score_is_that_of_the_weights_that_are_kept(maximise: bool, score: float) -> None:
    """final_weights last: the best validation (0.3, 0.9) is not what the run keeps."""
    validations = [Validation(1, 0.5, 0.3, 0.9), Validation(2, 1.0, 0.4, 0.7)]
    tuned = FineTuned("", History(validations=validations), 2, 0.35, 2, 1, 1, 1, 1, 1, None, 8, (1, 2), ())
    assert score_of(tuned, maximise) == score
