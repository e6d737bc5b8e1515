"""tune: settings for the training to come, chosen on the validation split; the holdout is not read."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ftcore.records import DataRef, PreparedDataset, Record, TuningResult, digest_of
from ftcore.spec import FineTuneSpec
from ftcore.store import Output, Store


def run(
    spec: FineTuneSpec, inputs: Mapping[str, Record | DataRef | None], output: Output, store: Store
) -> TuningResult:
    """Use what is left of the budget and choose. Trials that other processes have run for this key count; a search that was
    killed goes on. Writes `trials.jsonl`.

    Raises:
        TuningFailed: No trial finished.
        BaseModelError: The base model is missing or fails its checksum.
        IntegrityError: The champion to start from is damaged.
        ServiceUnavailable: The shared storage of trials does not answer.
    """
    from ftcore.data.reading import write_jsonl
    from ftcore.data.trained_rows import TrainedRows
    from ftcore.models.devices import choose
    from ftcore.training.checkpoints import exclusive
    from ftcore.training.inputs import read_inputs
    from ftcore.tuning.search import find_settings
    from ftcore.tuning.study import Search

    prepared, key = cast(PreparedDataset, inputs["prepare"]), output.uri.rpartition("/")[2]
    given, device = read_inputs(spec, inputs, store), choose(spec.compute).alone()
    TrainedRows(store, spec.name).add(prepared.train_digest, [*given.train, *given.validation])
    with exclusive(output.scratch, output.path / "search") as folder:
        name = key if folder == output.scratch else f"{key}-{uuid.uuid4().hex[:8]}"
        found = find_settings(Search(spec, name, folder, given), device)
    write_jsonl(output.path / "trials.jsonl", [trial.to_dict() for trial in found.trials])
    states = [trial.state for trial in found.trials]
    own = next((trial for trial in found.trials if trial.is_own and trial.state == "complete"), None)
    settings = dict(found.chosen.settings)
    assert found.best.score is not None
    return TuningResult(
        uri=output.uri,
        data_digest=prepared.train_digest,
        metric=spec.tuning.metric,
        settings=settings,
        settings_digest=digest_of(settings),
        chosen_trial=found.chosen.number,
        trials_uri=f"{output.uri}/trials.jsonl",
        num_trials=len(states),
        num_complete=states.count("complete"),
        num_pruned=states.count("pruned"),
        num_failed=states.count("failed"),
        search_s=round(found.search_s, 2),
        rescore_s=round(found.rescore_s, 2),
        best_trial=found.best.number,
        best_score=found.best.score,
        own_trial=own.number if own is not None else None,
        rescored=found.rescored,
        optimism=found.optimism,
    )


def begin(spec: FineTuneSpec, inputs: Mapping[str, Any], scratch: Path, store: Store) -> list[int]:
    """Make the study that several workers are to share. Returns their numbers.

    Args:
        scratch: The folder of this search, named by the stage's key.

    Raises:
        As `run`.
    """
    from ftcore.training.inputs import read_inputs
    from ftcore.tuning.study import Search, open_study

    open_study(Search(spec, scratch.name, scratch, read_inputs(spec, inputs, store)))
    return list(range(min(spec.tuning.parallel, spec.tuning.trials)))


def work(spec: FineTuneSpec, inputs: Mapping[str, Any], scratch: Path, store: Store, worker: int) -> bool:
    """Run trials of the shared study until its budget is used; `run` chooses among them later.

    Args:
        worker: No two that live have the same number; one that begins again takes back what it left unfinished.

    Returns:
        False, with nothing done, if another process has this search to itself.

    Raises:
        As `run`.
    """
    from ftcore.models.devices import choose
    from ftcore.training.checkpoints import shared
    from ftcore.training.inputs import read_inputs
    from ftcore.tuning.study import Search
    from ftcore.tuning.trials import run_trials

    with shared(scratch) as is_free:
        if is_free:
            run_trials(
                Search(spec, scratch.name, scratch, read_inputs(spec, inputs, store)),
                choose(spec.compute).alone(),
                worker,
            )
        return is_free
