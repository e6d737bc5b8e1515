"""The stage: a choice with its evidence; twice the same; blind to the holdout; on from where it was killed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from ftcore.errors import TuningFailed
from ftcore.models.base import BaseModel
from ftcore.records import PreparedDataset, TuningResult
from ftcore.spec import FineTuneSpec
from ftcore.stages import tune
from ftcore.store import Store
from ftcore.training.classification import ClassifierTrainer
from tests.tiny_search import make_spec, prepare_rows

UNLIKE = {
    "uri": "", "trials_uri": "", "search_s": 0.0, "rescore_s": 0.0, "chosen_trial": 0, "best_trial": 0, "rescored": (),
}  # fmt: skip
"""Paths, times, and numbers of trials: one that is tried again has a new one."""


class Killed(BaseException):
    """Not an Exception, as a kill is none."""


@pytest.fixture
def prepared(home: Path) -> PreparedDataset:
    return prepare_rows(home)


def run_stage(spec: FineTuneSpec, prepared: PreparedDataset, key: str) -> TuningResult:
    store = Store()
    with store.writing("tune", key) as output:
        record = tune.run(spec, {"prepare": prepared}, output, store)
        store.commit(output, record, {})
    assert store.find("tune", key) == record
    return record


def trials_of(record: TuningResult) -> list[dict[str, Any]]:
    lines = Store().resolve(record.trials_uri).read_text().splitlines()
    return [json.loads(line) for line in lines]


def course(record: TuningResult) -> list[tuple[Any, ...]]:
    """What a search tried and saw, in order."""
    return [tuple(trial[name] for name in ("state", "settings", "score", "curve")) for trial in trials_of(record)]


def kill_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Die in the middle of a training, at the so manieth step of the process."""
    original, seen = ClassifierTrainer.training_step, []

    def training_step(self: ClassifierTrainer, *args: Any, **kwargs: Any) -> Any:
        seen.append(1)
        if len(seen) == step:
            raise Killed
        return original(self, *args, **kwargs)

    monkeypatch.setattr(ClassifierTrainer, "training_step", training_step)


def test_a_choice_with_its_evidence_the_same_after_a_kill_and_without_a_holdout(
    tiny_base: BaseModel, prepared: PreparedDataset, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(tiny_base)
    whole = run_stage(spec, prepared, "whole")
    assert (whole.num_trials, whole.num_complete, whole.own_trial) == (4, 4, 0)
    assert whole.rescored[0].trial == whole.chosen_trial and len(whole.rescored) in (2, 3)
    assert {item.trial for item in whole.rescored} >= {whole.best_trial, 0}
    assert set(whole.settings) == set(spec.tuning.space)
    best = min(trials_of(whole), key=lambda trial: trial["score"])
    assert (whole.best_trial, whole.best_score) == (best["number"], best["score"])
    again = next(item for item in whole.rescored if item.trial == whole.best_trial)
    assert whole.optimism == pytest.approx(again.mean - whole.best_score)

    # The holdout is poisoned; the search is killed in its second trial; then the holdout is gone.
    holdout = home / "stages" / "prepare" / "k" / "test.jsonl"
    holdout.write_text('{"text": "poison"}\nno json at all')
    with monkeypatch.context() as patch:
        kill_at(patch, 10)
        with pytest.raises(Killed):
            run_stage(spec, prepared, "broken")
    holdout.unlink()
    assert (home / "scratch" / "tune" / "broken" / "study.db").exists()
    broken = run_stage(spec, prepared, "broken")
    assert course(broken) == course(whole)
    assert [item.scores for item in broken.rescored] == [item.scores for item in whole.rescored]
    assert dataclasses.replace(broken, **UNLIKE) == dataclasses.replace(whole, **UNLIKE)
    assert not (home / "scratch" / "tune" / "broken").exists()


def test_a_search_in_which_nothing_finishes_says_why_and_begins_anew(
    tiny_base: BaseModel, prepared: PreparedDataset, home: Path
) -> None:
    spec = make_spec(tiny_base, {"method.freeze_layers": {"choices": [7, 8]}}, trials=2)
    for _ in range(2):
        with pytest.raises(TuningFailed, match="None of 2 trials finished") as caught:
            run_stage(spec, prepared, "none")
        assert all("has 2 layers" in line for line in caught.value.details)
    assert not (home / "stages" / "tune").exists()
