"""A spec's space in Optuna's terms: what a trial is asked for, and what its answers mean."""

from __future__ import annotations

from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, Trial

from ftcore.spec import Dimension, FineTuneSpec, setting_of
from ftcore.spec.space import canonical, find_field, is_integer
from ftcore.spec.tuning import TUNABLE

_PLAIN = (str, int, float, bool, type(None))


def suggest(trial: Trial, spec: FineTuneSpec) -> dict[str, Any]:
    """Ask for a value of every dimension. Returns settings: values by dotted field name, as plain JSON."""
    for path, dimension in sorted(spec.tuning.space.items()):
        distribution = distribution_of(path, dimension)
        if isinstance(distribution, CategoricalDistribution):
            trial.suggest_categorical(path, distribution.choices)
        elif isinstance(distribution, IntDistribution):
            trial.suggest_int(path, distribution.low, distribution.high, step=distribution.step, log=distribution.log)
        else:
            trial.suggest_float(path, distribution.low, distribution.high, step=distribution.step, log=distribution.log)
    return settings_of(trial.params, spec)


def distribution_of(path: str, dimension: Dimension) -> CategoricalDistribution | IntDistribution | FloatDistribution:
    """Optuna's form of a checked dimension."""
    if dimension.choices is not None:
        return CategoricalDistribution(_labels(dimension.choices))
    low, high = dimension.low, dimension.high
    assert low is not None
    assert high is not None
    field = find_field(path, TUNABLE)
    assert not isinstance(field, str)
    if is_integer(field):
        return IntDistribution(int(low), int(high), log=dimension.log, step=int(dimension.step or 1))
    return FloatDistribution(low, high, log=dimension.log, step=dimension.step)


def settings_of(params: dict[str, Any], spec: FineTuneSpec) -> dict[str, Any]:
    """Optuna's params as settings; a trial that died early has fewer."""
    return {path: _meaning(value, spec.tuning.space[path]) for path, value in params.items()}


def own_params(spec: FineTuneSpec) -> dict[str, Any] | None:
    """The spec's own settings as Optuna's params; None where the space does not hold one of them."""
    params: dict[str, Any] = {}
    for path, dimension in spec.tuning.space.items():
        value = setting_of(spec, path)
        if dimension.choices is not None:
            same = [index for index, choice in enumerate(dimension.choices) if _is_same(choice, value)]
            if not same:
                return None
            value = _labels(dimension.choices)[same[0]]
        elif not _holds(distribution_of(path, dimension), value):
            return None
        params[path] = value
    return params


def parameters(trial: FrozenTrial) -> dict[str, Any]:
    """What a trial was or will be run with, also one that waits or died before it had asked for all."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


def _holds(distribution: CategoricalDistribution | IntDistribution | FloatDistribution, value: Any) -> bool:
    assert not isinstance(distribution, CategoricalDistribution)
    if not isinstance(value, (int, float)) or not distribution.low <= value <= distribution.high:
        return False
    steps = (value - distribution.low) / distribution.step if distribution.step else 0.0
    return abs(steps - round(steps)) < 1e-6


def _is_same(choice: Any, value: Any) -> bool:
    """8 is 8.0, but 1 is not true."""
    return bool(choice == value) and isinstance(choice, bool) == isinstance(value, bool)


def _labels(choices: list[Any]) -> list[Any]:
    """Optuna stores plain values only: where one is a list or a section, all are written as JSON."""
    return choices if all(isinstance(item, _PLAIN) for item in choices) else [canonical(item) for item in choices]


def _rounded(value: float, dimension: Dimension) -> float:
    """Six digits: what people copy from a table is what was trained with."""
    assert dimension.low is not None
    assert dimension.high is not None
    return min(max(float(f"{value:.6g}"), dimension.low), dimension.high)


def _meaning(value: Any, dimension: Dimension) -> Any:
    if dimension.choices is None:
        return _rounded(value, dimension) if isinstance(value, float) else value
    labels = _labels(dimension.choices)
    if labels is dimension.choices:
        return value
    return dimension.choices[labels.index(value)]
