"""Running trials: each a training on the validation split alone, without a model left behind."""

from __future__ import annotations

import gc
import shutil
import sys
import time
from collections.abc import Mapping
from typing import Any

import optuna
import torch
from optuna.trial import Trial, TrialState

from ftcore.errors import BaseModelError, FtcoreError, Refusal, TrainingDiverged, UsageError
from ftcore.models.devices import Device
from ftcore.spec import with_settings
from ftcore.training.finetune import FineTuned
from ftcore.training.history import History, Validation
from ftcore.training.inputs import train_on
from ftcore.tuning import study as studies
from ftcore.tuning.choosing import ranked
from ftcore.tuning.space import suggest
from ftcore.tuning.study import GIVEN_UP, REASON, RETRY_OF, SECONDS, WORKER, Search
from ftcore.tuning.tracking import log_own_trials

# Settings that do not go together, and what libraries raise then. A full disk or a lost storage is none of these: it ends the
# search.
FAILURES = (TrainingDiverged, UsageError, BaseModelError, Refusal, ValueError, TypeError, RuntimeError, MemoryError)
_MAX_REASON_CHARS = 200


def run_trials(search: Search, device: Device, worker: int = 0) -> None:
    """Run trials of the shared study until its budget is used.

    Args:
        device: Where to train.
        worker: Number of this process among those of the search; no two that live have the same.
    """
    study = studies.open_study(search)
    studies.take_back(study, worker)
    while studies.has_budget(search, study):
        study.sampler = studies.sampler(search, study, worker)
        trial = study.ask()
        trial.set_user_attr(WORKER, worker)
        if not studies.is_within_budget(search, study, trial.number):
            trial.set_user_attr(GIVEN_UP, True)
            study.tell(trial, state=TrialState.FAIL)
            return
        _run(search, study, trial, device)
        say_trial(search, study, trial.number)
        log_own_trials(search, study, worker)


def _run(search: Search, study: optuna.Study, trial: Trial, device: Device) -> None:
    began_at = time.monotonic()
    state, score, reason = TrialState.COMPLETE, None, None
    folder = search.folder / f"trial-{trial.user_attrs.get(RETRY_OF, trial.number)}"  # a second try goes on from there
    watcher = Watcher(search, study, trial)
    try:
        settings = suggest(trial, search.spec)
        known = watcher.replay(settings)
        if known is None:
            found = train_on(search.inputs, with_settings(search.spec, settings), device, folder, None, watcher)
            watcher.report(found.tuned.history)
            known = score_of(found.tuned, search.maximise)
        score = known
    except optuna.TrialPruned as ended:
        state, reason = TrialState.PRUNED, str(ended)
    except FAILURES as error:
        state, reason = TrialState.FAIL, reason_of(error)
    trial.set_user_attr(SECONDS, round(time.monotonic() - began_at, 3))
    if reason:
        trial.set_user_attr(REASON, reason)
    study.tell(trial, score, state)
    shutil.rmtree(folder, ignore_errors=True)
    free_memory()


class Watcher:
    """Passes each validation on to the study, and ends a trial that is not worth its time.

    Args:
        trial: The spec's own settings are never ended early: what is chosen is compared with them.
    """

    def __init__(self, search: Search, study: optuna.Study, trial: Trial) -> None:
        self.search, self.study, self.trial = search, study, trial
        self._num_reported = 0

    def __call__(self, history: History) -> None:
        """After a validation.

        Raises:
            TrialPruned: It falls behind the others, or the minutes are used.
        """
        self.report(history)
        if studies.is_time_up(self.search, self.study):
            raise optuna.TrialPruned("the minutes are used")
        if studies.OWN not in self.trial.user_attrs and self.trial.should_prune():
            raise optuna.TrialPruned(f"fell behind at validation {self._num_reported}")

    def report(self, history: History) -> None:
        """Validations that the study does not have yet: after a kill the first ones come from the checkpoint."""
        for number, seen in enumerate(history.validations[self._num_reported :], self._num_reported + 1):
            self.trial.report(value_of(seen, self.search.maximise), number)
        self._num_reported = len(history.validations)

    def replay(self, settings: Mapping[str, Any]) -> float | None:
        """The score of an earlier trial with the very same settings, which would only give it again; None: there is none."""
        for row in ranked(studies.rows(self.study, self.search.spec), maximise=self.search.maximise):
            if row.settings == settings:
                for number, value in enumerate(row.curve, 1):
                    self.trial.report(value, number)
                self.trial.set_user_attr(REASON, f"same settings as trial {row.number}")
                return row.score
        return None


def value_of(seen: Validation, maximise: bool) -> float:
    """The metric of one validation.

    Raises:
        ValueError: Accuracy is asked for and the task has measured none.
    """
    value = seen.accuracy if maximise else seen.loss
    if value is None:
        raise ValueError("This task measures no accuracy; wanted tuning.metric: loss.")
    return value


def score_of(tuned: FineTuned, maximise: bool) -> float:
    """The metric of the weights that training keeps: of one checkpoint, or (loss only) of the mean of several."""
    if not maximise:
        return tuned.best_validation_loss
    return value_of(next(seen for seen in tuned.history.validations if seen.step == tuned.best_step), maximise)


def reason_of(error: Exception) -> str:
    """Why a trial failed, in one line; of errors of the tree with their details, which name settings and never rows."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "allocate memory" in str(error):
        return "out of memory"
    if isinstance(error, FtcoreError):
        return "; ".join((error.message, *error.details))[:_MAX_REASON_CHARS]
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"[:_MAX_REASON_CHARS]


def free_memory() -> None:
    """What a trial held on the device is free for the next one."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def say(line: str) -> None:
    """One progress line."""
    sys.stderr.write(f"tune: {line}\n")
    sys.stderr.flush()


def say_trial(search: Search, study: optuna.Study, number: int) -> None:
    """Number, settings, score, state, the best so far, minutes left."""
    found = studies.rows(study, search.spec)
    row = next((item for item in found if item.number == number), None)
    if row is None:
        return
    score = row.score if row.score is not None else (row.curve[-1] if row.curve else None)
    order = ranked(found, maximise=search.maximise)
    best = f"best {order[0].score:.4f} (trial {order[0].number})" if order else "none finished yet"
    left_s = studies.left_s(search, study)
    left = "" if left_s is None else f", {max(left_s, 0) / 60:.0f} min left"
    own = " (the spec's own)" if row.is_own else ""
    why = f": {row.reason}" if row.reason else ""
    said = "no score" if score is None else f"{search.tuning.metric} {score:.4f}"
    say(f"trial {number}{own} {describe(row.settings)}: {said}, {row.state}{why}; {best}{left}")


def describe(settings: Mapping[str, Any]) -> str:
    """Settings in one line: `training.learning_rate=0.0003`."""
    return " ".join(
        f"{path}={value:.4g}" if isinstance(value, float) else f"{path}={value}" for path, value in settings.items()
    )
