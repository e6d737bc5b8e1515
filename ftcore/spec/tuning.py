"""The search for settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    Field,
    ValidationError,
    field_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from ftcore.spec.base import Section
from ftcore.spec.method import MethodSpec
from ftcore.spec.space import Dimension, space_faults
from ftcore.spec.training import TrainingSpec

TUNABLE: dict[str, type[Section]] = {"training": TrainingSpec, "method": MethodSpec}
"""Sections whose fields a search may vary."""


class RescoreSpec(Section):
    """The best of many trials looks better than it is: the first few are trained anew, and the mean decides."""

    top: Annotated[int, Field(ge=1, le=50)] = 3
    """How many of the best trials are trained anew; the spec's own settings always are, where the space holds them."""
    seeds: Annotated[int, Field(ge=0, le=20)] = 2
    """Fresh seeds that each is trained with; 0: none, the best trial is believed."""


class TuningSpec(Section):
    """Search for settings before training, on the validation split, never on the holdout. Off while `space` is empty."""

    space: dict[str, Dimension] = Field(default_factory=dict)
    """Which settings: a field of `training` or `method` by its dotted name -> {low, high, log, step} or {choices: [...]}."""
    metric: Literal["loss", "accuracy"] = "loss"
    """What is searched for: the lowest validation loss, or the highest validation accuracy, at the checkpoint that is kept."""
    trials: Annotated[int, Field(ge=1, le=1000)] = 20
    """Most trials, the pruned and the failed ones counted."""
    minutes: Annotated[float, Field(gt=0)] | None = 60.0
    """Most minutes in which trials run, re-scoring not counted; what is running then ends, once one trial has finished. null: no
    limit."""
    sampler: Literal["tpe", "random"] = "tpe"
    """tpe: looks where good trials were (tree-structured Parzen estimator); random: everywhere."""
    pruner: Literal["median", "hyperband", "none"] = "median"
    """Ends a trial early. median: worse than half of those before it at the same validation; hyperband: successive halving."""
    parallel: Annotated[int, Field(ge=1, le=64)] = 1
    """Trials at once: mapped tasks in Airflow, processes in `ftcore run`. With more than one, two searches differ."""
    seed: Annotated[int, Field(ge=0)] = 17
    """Seeds the sampler."""
    rescore: RescoreSpec = RescoreSpec()
    """How the winner is found among the best."""

    @field_validator("space")
    @classmethod
    def _space_fits_the_fields(cls, space: dict[str, Dimension]) -> dict[str, Dimension]:
        faults = list(space_faults(space, TUNABLE))
        raise_all("TuningSpec", [((path,), fault) for path, fault in faults])
        return space


def raise_all(title: str, faults: list[tuple[tuple[str, ...], str]]) -> None:
    """Raise one error that holds every fault with its place."""
    if faults:
        details = [
            InitErrorDetails(type=PydanticCustomError("value_error", "{fault}", {"fault": fault}), loc=place, input={})
            for place, fault in faults
        ]
        raise ValidationError.from_exception_data(title, details)
