"""The finalists trained anew on fresh seeds. Each training that is done is kept, so that a kill costs one at most."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence

from ftcore.models.devices import Device
from ftcore.records import Rescored, canonical_json, digest_of
from ftcore.spec import with_settings
from ftcore.store import write_durable
from ftcore.training.inputs import train_on
from ftcore.tuning.choosing import TrialRow, by_mean, summarise
from ftcore.tuning.study import Search
from ftcore.tuning.trials import FAILURES, describe, free_memory, reason_of, say, score_of


def rescore(search: Search, chosen: Sequence[TrialRow], device: Device) -> tuple[Rescored, ...]:
    """Mean and spread of each on seeds that no trial has used, best first. One that fails on any seed is left out."""
    num_seeds = search.tuning.rescore.seeds
    found = []
    for trial in chosen if num_seeds else ():
        scores = [_score(search, trial, number, device) for number in range(1, num_seeds + 1)]
        if all(score is not None for score in scores):
            item = summarise(trial, [score for score in scores if score is not None])
            found.append(item)
            say(f"trial {trial.number} on fresh seeds: {item.mean:.4f} ± {item.spread:.4f} (it had {item.score:.4f})")
    return by_mean(found, maximise=search.maximise)


def _score(search: Search, trial: TrialRow, number: int, device: Device) -> float | None:
    """The score on the `number`-th fresh seed; None: it failed."""
    settings = {**trial.settings, "training.seed": search.spec.training.seed + number}
    name = digest_of(settings)[:32]
    kept, checkpoints = search.folder / "rescored" / f"{name}.json", search.folder / f"rescore-{name}"
    try:
        score: float | None = json.loads(kept.read_text(encoding="utf-8"))["score"]
        return score
    except FileNotFoundError:
        pass
    try:
        found = train_on(search.inputs, with_settings(search.spec, settings), device, checkpoints, None)
        score = score_of(found.tuned, search.maximise)
        write_durable(kept, canonical_json({"score": score}))
    except FAILURES as error:
        say(f"trial {trial.number} ({describe(trial.settings)}) on a fresh seed failed: {reason_of(error)}")
        score = None
    shutil.rmtree(checkpoints, ignore_errors=True)
    free_memory()
    return score
