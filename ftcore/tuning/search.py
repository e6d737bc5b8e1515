"""A whole search in one place: workers until the budget is used, then the finalists anew, then the choice."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import time
from dataclasses import dataclass, replace

import optuna

from ftcore.errors import TuningFailed
from ftcore.models.devices import Device
from ftcore.records import Rescored
from ftcore.tuning import study as studies
from ftcore.tuning.choosing import TrialRow, finalists, optimism, ranked
from ftcore.tuning.rescoring import rescore
from ftcore.tuning.study import Search
from ftcore.tuning.trials import run_trials, say

_ROUNDS = 3
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True)
class Found:
    """What a search came to."""

    trials: list[TrialRow]
    chosen: TrialRow
    best: TrialRow
    """Of the trials as they were, before the finalists were trained anew."""
    rescored: tuple[Rescored, ...]
    """Best mean first."""
    optimism: float | None
    search_s: float
    rescore_s: float


def find_settings(search: Search, device: Device) -> Found:
    """Search what is left of the budget, and choose. Nobody else may be at work on this study.

    Raises:
        TuningFailed: No trial finished, or none of the finalists did on fresh seeds. The study is gone: the next run
            begins anew.
    """
    study = studies.open_study(search)
    studies.take_back(study, None)
    _use_budget(search, study, device)
    trials, search_s = studies.rows(study, search.spec), studies.used_s(study)
    order = ranked(trials, maximise=search.maximise)
    if not order:
        reasons = sorted({f"{trial.state}: {trial.reason}" for trial in trials})
        optuna.delete_study(study_name=search.name, storage=study._storage)
        hint = "look at the reasons; narrow tuning.space or raise tuning.minutes"
        raise TuningFailed(f"None of {len(trials)} trials finished; wanted at least one.", details=reasons, hint=hint)
    began_at = time.monotonic()
    chosen_few = finalists(trials, search.tuning.rescore.top, maximise=search.maximise)
    rescored = rescore(search, chosen_few, device)
    if search.tuning.rescore.seeds and not rescored:
        hint = "the settings are at the edge of what trains: narrow tuning.space"
        raise TuningFailed(f"None of the {len(chosen_few)} best trials trains on fresh seeds.", hint=hint)
    chosen = next(trial for trial in order if trial.number == rescored[0].trial) if rescored else order[0]
    by_how_much = optimism(order[0], rescored, maximise=search.maximise)
    return Found(trials, chosen, order[0], rescored, by_how_much, search_s, time.monotonic() - began_at)


def _use_budget(search: Search, study: optuna.Study, device: Device) -> None:
    num_workers = min(search.tuning.parallel, search.tuning.trials)
    if num_workers == 1:
        run_trials(search, device)
        return
    shared = replace(device, threads=max(1, device.threads // num_workers))
    for _ in range(_ROUNDS):  # a worker that the machine killed is replaced in the next round
        if not studies.has_budget(search, study):
            return
        run_workers(search, shared, num_workers)
        studies.take_back(study, None)


def run_workers(search: Search, device: Device, num_workers: int) -> None:
    """Run so many processes until they have used the budget or died."""
    context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    processes = [
        context.Process(target=_work, args=(search, device, worker, os.getpid()), name=f"trials-{worker}")
        for worker in range(num_workers)
    ]
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.join()
            if process.exitcode:
                say(f"{process.name} ended with code {process.exitcode}; what it was at is tried once more")
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()
                process.join()


def _work(search: Search, device: Device, worker: int, parent: int) -> None:
    """In a process of its own. Dies with its parent (Linux): two searches at once on one study would spoil each other."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == parent:
        with contextlib.redirect_stdout(sys.stderr):
            run_trials(search, device, worker)
