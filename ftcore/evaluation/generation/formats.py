"""Whether an answer has the form that the spec asks for: JSON of a schema, or text of a regular expression."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.exceptions import Unresolvable

from ftcore.errors import SpecError
from ftcore.spec import FormatSpec


def format_check(wanted: FormatSpec) -> Callable[[str], bool]:
    """A function that says whether one answer is valid; outer white space does not matter.

    Raises:
        SpecError: By the function, where a reference within the schema leads nowhere.
    """
    if wanted.regex is not None:
        pattern = re.compile(wanted.regex)
        return lambda answer: pattern.fullmatch(answer.strip()) is not None
    # An empty registry: a schema never makes this machine load another document.
    validator = Draft202012Validator(wanted.json_schema or {}, registry=Registry())
    return lambda answer: _is_json_of(answer, validator)


def format_metric(wanted: FormatSpec) -> Callable[[Sequence[str], Sequence[str]], list[float]]:
    """The check as a metric of rows: 1 for a valid answer, else 0."""
    check = format_check(wanted)
    return lambda targets, answers: [float(check(answer)) for answer in answers]


def _is_json_of(answer: str, validator: Any) -> bool:
    try:
        value = json.loads(answer, parse_constant=_no_number)
        return bool(validator.is_valid(value))
    except (ValueError, RecursionError):
        return False
    except Unresolvable:
        message = "evaluation.generation.format.json_schema: a $ref points to no part of the schema."
        raise SpecError(message, hint="ftcore spec check FILE") from None


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
