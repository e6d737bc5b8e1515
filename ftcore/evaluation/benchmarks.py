"""Standard benchmarks through lm-eval: what a model still knows beside its task.

Optional: `pip install 'ftcore[lm-eval]'`. lm-eval fetches a task's rows from the Hub, unless they are in its cache or the task
says otherwise; a task that comes as a file may run code of its own. Scores are for comparison between models; nothing is decided.
"""

from __future__ import annotations

import importlib.metadata
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftcore.errors import DataUnreachable, UsageError, first_line
from ftcore.models.base import saved_model
from ftcore.models.devices import Device
from ftcore.models.loading import load_model

_BOOTSTRAP = (
    1000  # resamples behind the standard errors of metrics that are no mean; lm-eval's own 100,000 take minutes
)


@dataclass(frozen=True)
class Asked:
    """What to measure."""

    tasks: tuple[str, ...]
    """Names of lm-eval's tasks or groups."""
    limit: int | None = None
    """Rows of each task, from its first; None: all."""
    include: Path | None = None
    """Folder with tasks of one's own, as lm-eval's YAML files."""
    chat: bool = False
    """Put the rows to the model as turns of a conversation, by its chat template."""


def benchmark(folder: Path, digest: str, asked: Asked, device: Device, batch_size: int) -> dict[str, Any]:
    """Scores of the saved model in `folder`, which must be the model `digest`.

    Returns:
        `model`, `lm_eval` (its version), `limit`, `chat`, and `results`: one entry per task, metric and filter, with `value`,
        `stderr` (null where lm-eval has none), `n` rows, `shots` and the task's `version`.

    Raises:
        UsageError: lm-eval is not installed, a task is not known, or the model names classes.
        IntegrityError: It is another model, or fails its checks.
        DataUnreachable: Rows of a task cannot be fetched.
    """
    try:
        from lm_eval import simple_evaluate
        from lm_eval.models.huggingface import HFLM
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        message = f"Benchmarks need lm-eval, which is not installed ({error.name} is missing)."
        raise UsageError(message, hint="pip install 'ftcore[lm-eval]'") from None
    saved_model(folder, digest, folder.name)
    loaded = load_model(folder)
    if loaded.kind == "classifier":
        raise UsageError("The model names classes; benchmarks want one that generates text.")
    if asked.chat and not loaded.tokenizer.chat_template:
        raise UsageError("The model has no chat template.", hint="leave out --chat")
    for name in ("lm_eval", "lm_eval.models.huggingface"):
        logging.getLogger(name).setLevel(logging.ERROR)
    manager = _manager(TaskManager, asked)
    model = HFLM(
        pretrained=loaded.model.to(device.device).eval(), tokenizer=loaded.tokenizer, batch_size=batch_size,
        backend="seq2seq" if loaded.kind == "seq2seq" else "causal",
        mixed_precision_dtype="bfloat16" if device.precision == "bf16" else None,
    )  # fmt: skip
    try:
        found = simple_evaluate(
            model=model, tasks=list(asked.tasks), limit=asked.limit, task_manager=manager, log_samples=False,
            bootstrap_iters=_BOOTSTRAP, apply_chat_template=asked.chat,
        )  # fmt: skip
    except OSError as error:  # of datasets and huggingface_hub; rows that are not there are FileNotFoundError
        raise DataUnreachable(
            f"Rows of {', '.join(asked.tasks)} cannot be fetched: {first_line(error)[:300]}"
        ) from error
    return {
        "model": digest, "lm_eval": importlib.metadata.version("lm_eval"), "limit": asked.limit, "chat": asked.chat,
        "results": results_of(found),
    }  # fmt: skip


def _manager(make: Any, asked: Asked) -> Any:
    """Of one's own tasks alone where they are all that is asked for: reading lm-eval's thousands takes 10 s and more."""
    if asked.include is not None:
        own = make(include_path=str(asked.include), include_defaults=False)
        if set(asked.tasks) <= set(own.all_tasks):
            return own
    manager = make(include_path=None if asked.include is None else str(asked.include))
    _check_known(asked.tasks, manager.all_tasks)
    return manager


def _check_known(tasks: Sequence[str], known: Sequence[str]) -> None:
    names = set(known)
    faults = [f"{name!r} is no task" for name in tasks if name not in names]
    if faults or not tasks:
        hint = "lm-eval ls tasks; your own: --include FOLDER"
        raise UsageError(
            f"lm-eval knows {len(names):,} tasks and groups, wanted names of these:", details=faults, hint=hint
        )


def results_of(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """lm-eval's results as a list, by task, metric and filter; what is no finite number is left out."""
    lines = []
    for task, scores in found["results"].items():
        for key, value in scores.items():
            metric, comma, name = key.partition(",")
            if not comma or metric.endswith("_stderr") or not _is_number(value):
                continue
            stderr = scores.get(f"{metric}_stderr,{name}")
            rows = found.get("n-samples", {}).get(task, {}).get("effective")
            lines.append({
                "task": task, "metric": metric, "filter": name, "value": float(value),
                "stderr": float(stderr) if _is_number(stderr) else None, "n": rows,
                "shots": found.get("n-shot", {}).get(task), "version": found.get("versions", {}).get(task),
            })  # fmt: skip
    return lines


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool | str) and value is not None and math.isfinite(value)
