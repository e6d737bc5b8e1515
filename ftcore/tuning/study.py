"""One search as an Optuna study that several processes share and that goes on after a kill.

Two things are ours. The sampler is made anew for every trial, seeded by the search's seed, the worker and how many trials have
ended, so that a search that was killed asks for what the unbroken one would have. And a trial whose process died is taken back
and tried once more with the same settings; if it dies again it has failed.
"""

from __future__ import annotations

import hashlib
import math
import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import FrozenTrial, TrialState

from ftcore.errors import ServiceUnavailable
from ftcore.spec import FineTuneSpec, TuningSpec
from ftcore.store import make_folder
from ftcore.training.inputs import TrainingInputs
from ftcore.tuning.choosing import State, TrialRow
from ftcore.tuning.space import own_params, parameters, settings_of

URL = "FTCORE_OPTUNA_URL"
"""Where trials are kept instead of a SQLite file: a database (`postgresql+psycopg://…`) or `journal:/shared/file`."""
GIVEN_UP, WORKER, OWN, RETRY_OF, SECONDS, REASON = (
    "given_up", "worker", "own", "retry_of", "seconds", "reason",
)  # fmt: skip
_LONE_S = 60.0
_STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


@dataclass(frozen=True)
class Search:
    """What the processes of one search have in common. No path to the holdout is in it."""

    spec: FineTuneSpec
    name: str
    """Of the study; another one for everything that a trial's result depends on."""
    folder: Path
    """Checkpoints, re-scores, and the study where no other storage is named; kept until the stage has ended well."""
    inputs: TrainingInputs

    @property
    def tuning(self) -> TuningSpec:
        return self.spec.tuning

    @property
    def maximise(self) -> bool:
        return self.tuning.metric == "accuracy"


def open_study(search: Search) -> optuna.Study:
    """The study, made if it is not there yet: its first trial is the spec's own settings, where the space holds them.

    Raises:
        ServiceUnavailable: The storage that `$FTCORE_OPTUNA_URL` names does not answer.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    make_folder(search.folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study = optuna.create_study(
                storage=_storage(search.folder),
                study_name=search.name,
                load_if_exists=True,
                direction="maximize" if search.maximise else "minimize",
                pruner=_pruner(search.spec),
            )
            own = own_params(search.spec)
            if own is not None and not study.get_trials(deepcopy=False):
                study.enqueue_trial(own, user_attrs={OWN: True})
            return study
    except (optuna.exceptions.StorageInternalError, OSError) as error:
        if URL not in os.environ:
            raise
        message = f"The storage of trials that ${URL} names does not answer ({type(error).__name__})."
        raise ServiceUnavailable(message, hint=f"unset {URL}, or start it") from error


def _storage(folder: Path) -> BaseStorage:
    url = os.environ.get(URL) or f"sqlite:///{folder / 'study.db'}"
    if url.startswith("journal:"):
        return JournalStorage(JournalFileBackend(url.removeprefix("journal:")))
    waiting = {"connect_args": {"timeout": 60}} if url.startswith("sqlite:") else {"pool_pre_ping": True}
    return RDBStorage(url, engine_kwargs=waiting)


def _pruner(spec: FineTuneSpec) -> optuna.pruners.BasePruner:
    if spec.tuning.pruner == "none":
        return optuna.pruners.NopPruner()
    if spec.tuning.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=4)
    epochs = spec.tuning.space.get("training.epochs")
    most = max(
        [spec.training.epochs, epochs.high or 0.0, *(epochs.choices or [])] if epochs else [spec.training.epochs]
    )
    return optuna.pruners.HyperbandPruner(max_resource=max(2, math.ceil(most / spec.training.eval_every)))


def sampler(search: Search, study: optuna.Study, worker: int) -> BaseSampler:
    """For the next trial alone; see the module's docstring."""
    tuning = search.tuning
    ended = sum(_counts(trial) and trial.state.is_finished() for trial in study.get_trials(deepcopy=False))
    seed = int(hashlib.sha256(f"{tuning.seed}/{worker}/{ended}".encode()).hexdigest()[:8], 16)
    if tuning.sampler == "random":
        return RandomSampler(seed=seed)
    return TPESampler(seed=seed, n_startup_trials=max(4, min(10, tuning.trials // 3)))


def is_within_budget(search: Search, study: optuna.Study, number: int) -> bool:
    """True if the trial of this number is one of the first `tuning.trials`; those that were taken back do not count.

    Numbers are given out by the storage, so however many ask at once, no more than that many are run.
    """
    before = sum(_counts(trial) and trial.number < number for trial in study.get_trials(deepcopy=False))
    return before < search.tuning.trials


def has_budget(search: Search, study: optuna.Study) -> bool:
    """True if another trial may begin."""
    trials = study.get_trials(deepcopy=False)
    begun = sum(_counts(trial) and trial.state != TrialState.WAITING for trial in trials)
    return begun < search.tuning.trials and not is_time_up(search, study)


def is_time_up(search: Search, study: optuna.Study) -> bool:
    """True if the minutes are used; never before one trial has finished."""
    left = left_s(search, study)
    if left is None or left > 0:
        return False
    return any(trial.state == TrialState.COMPLETE for trial in study.get_trials(deepcopy=False))


def left_s(search: Search, study: optuna.Study) -> float | None:
    """Seconds of the budget that are left; None: no limit."""
    minutes = search.tuning.minutes
    return None if minutes is None else minutes * 60 - used_s(study)


def used_s(study: optuna.Study) -> float:
    """Seconds in which trials ran; what ran side by side counts once, and pauses between a kill and the next start do not."""
    # By the clock of day: several processes share no other.
    spans = [
        (trial.datetime_start, trial.datetime_complete or datetime.now())
        for trial in study.get_trials(deepcopy=False)
        if _counts(trial) and trial.datetime_start
    ]
    return covered(spans).total_seconds()


def covered(spans: Iterable[tuple[datetime, datetime]]) -> timedelta:
    """Length of the union of time spans."""
    total, reached = timedelta(), datetime.min
    for begin, end in sorted(spans):
        total += max(end - max(begin, reached), timedelta())
        reached = max(reached, end)
    return total


def take_back(study: optuna.Study, worker: int | None) -> None:
    """Settle trials that a process has left unfinished by dying: tried once more, or failed if that was the second time.

    Args:
        worker: Only those of this worker, who is the caller; None: all, because nobody else is at work.
    """
    trials = study.get_trials(deepcopy=False)
    retried = {trial.user_attrs.get(RETRY_OF) for trial in trials}
    for trial in trials:
        if trial.state != TrialState.RUNNING or not _is_dead(trial, worker):
            continue
        params = parameters(trial)
        if RETRY_OF in trial.user_attrs:
            note(study, trial, REASON, "its process died twice, most likely for want of memory")
        else:
            note(study, trial, GIVEN_UP, True)
            if trial.number not in retried and params:
                attrs = {RETRY_OF: trial.number} | ({OWN: True} if OWN in trial.user_attrs else {})
                study.enqueue_trial(params, user_attrs=attrs)
        study.tell(trial.number, state=TrialState.FAIL)


def _is_dead(trial: FrozenTrial, worker: int | None) -> bool:
    if worker is None:
        return True
    if WORKER in trial.user_attrs:
        return bool(trial.user_attrs[WORKER] == worker)
    # Died between asking and signing; a living one signs at once.
    return trial.datetime_start is not None and datetime.now() - trial.datetime_start > timedelta(seconds=_LONE_S)


def note(study: optuna.Study, trial: FrozenTrial, key: str, value: object) -> None:
    """Write on a trial that is still running."""
    study._storage.set_trial_user_attr(trial._trial_id, key, value)


def rows(study: optuna.Study, spec: FineTuneSpec) -> list[TrialRow]:
    """The trials that have ended, by number; those that were taken back are left out."""
    return [
        TrialRow(
            number=trial.number,
            state=_STATES[trial.state],
            settings=settings_of(trial.params, spec),
            score=trial.value if trial.state == TrialState.COMPLETE else None,
            curve=tuple(value for _, value in sorted(trial.intermediate_values.items())),
            seconds=trial.user_attrs.get(SECONDS),
            reason=trial.user_attrs.get(REASON),
            is_own=OWN in trial.user_attrs,
        )
        for trial in study.get_trials(deepcopy=False)
        if trial.state in _STATES and _counts(trial)
    ]


def _counts(trial: FrozenTrial) -> bool:
    return GIVEN_UP not in trial.user_attrs
