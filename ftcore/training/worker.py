"""One process of a training that several share, started by `ftcore.training.launch`: reads the job, trains, says how it went."""

from __future__ import annotations

import functools
import os
import select
import sys
import threading
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from ftcore.errors import FtcoreError
from ftcore.records import canonical_json
from ftcore.store import write_durable
from ftcore.training.launch import Outcome, outcome_to_plain

_LOOK_EVERY_S = 1.0


def main(job: Path) -> int:
    """Train as the job says.

    Returns:
        0, or 1 for anything that the other processes must not wait for.
    """
    sys.excepthook = functools.partial(_leave_trace, job.parent)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    outcome: Outcome | FtcoreError
    try:
        outcome = work(job)
    except FtcoreError as error:
        outcome = error
    write_durable(job.parent / f"outcome-{os.environ['RANK']}.json", canonical_json(outcome_to_plain(outcome)))
    return 0 if isinstance(outcome, Outcome) and outcome.done else 1


def work(job: Path) -> Outcome:
    """One attempt.

    Raises:
        FtcoreError: As `run_job`.
    """
    import torch

    from ftcore.training.attempts import Attempt
    from ftcore.training.recipes import Recipe

    recipe = Recipe.read(job)
    device = replace(recipe.device, threads=max(1, recipe.device.threads // recipe.device.processes))
    if device.device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    device.prepare()
    attempt = Attempt.begin(
        recipe.job, recipe.method, recipe.champion, device, recipe.checkpoint_dir, recipe.step, recipe.out_of_memory,
        order=recipe.order, quiet=recipe.quiet,
    )  # fmt: skip
    findings = attempt.check()
    began_at = time.monotonic()
    done = attempt.train()
    train_s, history = time.monotonic() - began_at, attempt.history
    return Outcome(
        done, tuple(findings), tuple(history.out_of_memory), attempt.micro_batch_size, train_s, len(history.loss)
    )


def _leave_trace(folder: Path, *crash: Any) -> None:
    """What a person who looks for the fault needs, apart from the launcher's own words about it."""
    (folder / f"crash-{os.environ['RANK']}.txt").write_text(
        "".join(traceback.format_exception(*crash)), encoding="utf-8"
    )


def _end_with_parent(launcher: int) -> None:
    """End this process at once when whoever started the training is gone, or the launcher in between."""
    while os.getppid() == launcher:
        ready, _, _ = select.select([sys.stdin], [], [], _LOOK_EVERY_S)
        if ready and not os.read(sys.stdin.fileno(), 1):
            break
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
