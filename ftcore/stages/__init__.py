"""The stages table: what runs, in which order, on what.

Modules are named as strings, so that this table costs nothing to import (DAG files read it). Each stage module has one public
function `run(spec, inputs, output, store) -> Record`; its heavy imports are its first lines.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ftcore.errors import UsageError

if TYPE_CHECKING:
    from ftcore.spec import FineTuneSpec


@dataclass(frozen=True)
class Stage:
    """One row of the table."""

    name: str
    inputs: tuple[str, ...]
    """Stages whose records it needs; from the ledger: `data`, `start`, `champion`, `withdrawal`, `standing` and `released`."""
    sections: tuple[str, ...]
    """Parts of the spec it reads, sections or single fields (`section.field`): only these are in its cache key."""
    rooms: tuple[str, ...]
    """Packages or single files of ftcore whose source is in its cache key, besides the stage itself."""
    ignored: tuple[str, ...] = ()
    """Fields of its sections (`section.field`) that it does not read."""
    isolated: bool = False
    """Loads torch: Airflow runs it as a child process on the `gpu` pool."""

    @property
    def module(self) -> str:
        return f"ftcore.stages.{self.name}"


STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage("ingest", ("data",), ("data",), ("data",)),
        Stage("validate", ("ingest", "released"),
              ("name", "task", "data", "validation", "leakage", "base_model", "training.max_length"),
              ("data", "validation", "html")),
        Stage("prepare", ("ingest", "validate", "released"),
              ("task", "data", "leakage", "prepare", "validation", "base_model", "training.max_length", "training.batch_size"),
              ("data",)),
        Stage("tune", ("prepare", "start"), ("task", "base_model", "method", "training", "tuning", "compute"),
              ("tuning", "training", "models", "data/templates.py"), isolated=True),
        Stage("train", ("prepare", "start"), ("task", "base_model", "method", "training", "compute"),
              ("training", "models", "data/templates.py"), isolated=True),
        Stage("evaluate", ("prepare", "train", "champion"),
              ("task", "evaluation", "compute", "base_model", "training.max_length", "training.seed"),
              ("evaluation", "training", "models", "data/cleaning.py", "data/personal", "registry/package.py"),
              ("evaluation.costs",), isolated=True),
        Stage("judge", ("prepare", "evaluate", "withdrawal", "standing"), ("name", "task", "gate", "evaluation", "approval"),
              ("evaluation", "html", "data/label_errors.py", "data/personal")),
        Stage("promote", ("ingest", "validate", "prepare", "train", "evaluate", "judge", "standing"), (), ("registry",)),
    )
}  # fmt: skip

ORDER = tuple(STAGES)
AFTER_TUNING = ORDER[ORDER.index("tune") + 1 :]
"""Stages that run with the settings that a search has chosen."""


def stages_of(spec: FineTuneSpec) -> dict[str, Stage]:
    """The stages that a spec has, in order: `tune` where there is a space to search; then every later one needs its record."""
    if not spec.tuning.space:
        return {name: stage for name, stage in STAGES.items() if name != "tune"}
    return {
        name: replace(stage, inputs=(*stage.inputs, "tune")) if name in AFTER_TUNING else stage
        for name, stage in STAGES.items()
    }


def stage_of(name: str, spec: FineTuneSpec) -> Stage:
    """One stage as this spec has it.

    Raises:
        UsageError: There is none of this name, or the spec has nothing to tune.
    """
    if name not in STAGES:
        raise UsageError(f"No stage {name!r}; stages: {', '.join(ORDER)}.")
    found = stages_of(spec).get(name)
    if found is None:
        hint = "add to the spec: tuning: {space: {training.learning_rate: {low: 5.0e-5, high: 1.0e-3, log: true}}}"
        raise UsageError(f"{spec.name} has no tuning.space: there is nothing to search.", hint=hint)
    return found
