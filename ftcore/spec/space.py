"""The space that a search for settings looks in: fields of the spec, and the values each may take.

Every dimension is checked against the type of the field it names, so that a faulty space is told of before anything runs.
"""

from __future__ import annotations

import json
import math
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from ftcore.spec.base import Section

FIXED = {
    "method.adapt.texts": "the files are read before the search",
    "method.distill.teacher": "the teacher is settled before the search",
    "method.distill.teacher_revision": "the teacher is settled before the search",
    "method.prefer.algorithm": "losses of other kinds cannot be compared",
    "method.prefer.beta": "losses of other scales cannot be compared",
    "method.prefer.data": "the files are read before the search",
    "method.start_from": "where training starts from is settled before the search",
    "training.eval_every": "trials are compared at the same validations",
    "training.loss_on": "losses over other tokens cannot be compared",
    "training.seed": "a seed is no setting; `tuning.rescore` takes fresh ones",
}
"""Fields that cannot be searched, and why."""


class Dimension(Section):
    """The values of one field: a range (`low`, `high`) or `choices`."""

    low: float | None = None
    """Smallest value, included."""
    high: float | None = None
    """Largest value, included."""
    log: bool = False
    """Sample the logarithm evenly: for rates that span powers of ten."""
    step: float | None = None
    """Distance between values; null: any value (integers: 1)."""
    choices: list[Any] | None = None
    """Values to choose from, of any kind that the field takes."""


def space_faults(space: Mapping[str, Dimension], sections: Mapping[str, type[Section]]) -> Iterator[tuple[str, str]]:
    """Each dimension that names no field to search, or values that the field does not take, with what is wrong.

    Args:
        sections: The parts of a spec that may be searched, by name.
    """
    for path, dimension in space.items():
        if path in FIXED:
            yield path, f"cannot be searched: {FIXED[path]}"
            continue
        field = find_field(path, sections)
        if isinstance(field, str):
            yield path, field
        elif fault := _shape_fault(dimension):
            yield path, fault
        else:
            yield from ((path, fault) for fault in _value_faults(dimension, field))


def find_field(path: str, sections: Mapping[str, type[Section]]) -> FieldInfo | str:
    """The field that a dotted path names, or what is wrong with the path."""
    first, *rest = path.split(".")
    if first not in sections:
        return f"cannot be searched; wanted a field of {' or '.join(sections)}, for example training.learning_rate"
    section: type[Section] | None = sections[first]
    field: FieldInfo | None = None
    for number, part in enumerate(rest):
        if number == len(rest) - 1 and field is not None and get_origin(field.annotation) is dict:
            return FieldInfo(annotation=Any)  # method.peft.NAME: PEFT knows what it takes, and says so in the trial
        if section is None or part not in section.model_fields:
            allowed = f"; allowed: {', '.join(section.model_fields)}" if section is not None else ""
            return f"no such field{allowed}"
        field = section.model_fields[part]
        section = next((item for item in _options(field.annotation) if _is_section(item)), None)
        if number == len(rest) - 1 and section is None:
            return field
    return "is a section; wanted one of its fields" + (f": {', '.join(section.model_fields)}" if section else "")


def is_integer(field: FieldInfo) -> bool:
    """True if a range of this field holds whole numbers."""
    return {int, float} & set(_options(field.annotation)) == {int}


def _shape_fault(dimension: Dimension) -> str | None:
    """What is wrong with a dimension whatever field it is of."""
    low, high, step = dimension.low, dimension.high, dimension.step
    if dimension.choices is not None:
        if (low, high, step, dimension.log) != (None, None, None, False):
            return "wanted either choices or low and high, saw both"
        if len({canonical(item) for item in dimension.choices}) < max(2, len(dimension.choices)):
            return "choices needs at least two values, each once"
        return None
    if low is None or high is None or not low < high or not math.isfinite(high - low):
        return "wanted {low: A, high: B} with A below B, or {choices: [...]}"
    if dimension.log and (low <= 0 or step is not None):
        return "log needs low above 0 and no step"
    if step is not None and (step <= 0 or abs((high - low) / step - round((high - low) / step)) > 1e-6):
        return "step must be above 0 and lead from low to high"
    return None


def canonical(value: Any) -> str:
    """JSON by which two values are the same setting."""
    return json.dumps(value, sort_keys=True)


def _value_faults(dimension: Dimension, field: FieldInfo) -> Iterator[str]:
    annotation: Any = field.annotation
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[annotation, *field.metadata] if field.metadata else annotation)
    if dimension.choices is not None:
        yield from _refused(adapter, dimension.choices)
        return
    kinds = {int, float} & set(_options(field.annotation))
    ends = [value for value in (dimension.low, dimension.high, dimension.step) if value is not None]
    if not kinds:
        yield "is not a number; wanted {choices: [...]}"
    elif kinds == {int} and any(value != int(value) for value in ends):
        yield "takes whole numbers; wanted whole low, high and step"
    else:
        yield from _refused(adapter, [int(value) if kinds == {int} else value for value in ends[:2]])


def _refused(adapter: TypeAdapter[Any], values: list[Any]) -> Iterator[str]:
    for value in values:
        try:
            adapter.validate_python(value)
        except ValidationError as error:
            yield f"{value!r} is not allowed: {error.errors()[0]['msg']}"


def _options(annotation: Any) -> list[Any]:
    """The types that a field may have, without their constraints."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _options(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [option for item in get_args(annotation) for option in _options(item)]
    return [annotation]


def _is_section(item: Any) -> bool:
    return isinstance(item, type) and issubclass(item, Section)
