from __future__ import annotations

import pytest

from ftcore.errors import SpecError
from ftcore.evaluation.generation.formats import format_check, format_metric
from ftcore.spec import FormatSpec

ORDER = {
    "type": "object", "required": ["order"], "additionalProperties": False,
    "properties": {"order": {"$ref": "#/$defs/number"}}, "$defs": {"number": {"type": "integer", "minimum": 1}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "valid"),
    [
        ('{"order": 7}', True),
        (' \n{"order": 7}\n', True),
        ('{"order": 0}', False),
        ('{"order": "7"}', False),
        ('{"order": 7} thanks', False),
        ('{"order": NaN}', False),
        ("", False),
        ("[" * 100_000, False),
    ],
)
def test_json_of_a_schema(answer: str, valid: bool) -> None:
    assert format_check(FormatSpec(json_schema=ORDER))(answer) is valid


def test_a_regex_is_about_the_whole_answer() -> None:
    found = format_metric(FormatSpec(regex=r"(yes|no)\.?"))(["", "", "", ""], ["yes", " no. ", "yes, no", ""])
    assert found == [1.0, 1.0, 0.0, 0.0]


def test_an_empty_schema_takes_any_json() -> None:
    check = format_check(FormatSpec(json_schema={}))
    assert check("[1]") and check("null") and not check("nul")


def test_a_reference_that_leads_nowhere_is_the_specs_fault() -> None:
    with pytest.raises(SpecError, match="no part of the schema"):
        format_check(FormatSpec(json_schema={"$ref": "#/$defs/none"}))("1")
    with pytest.raises(ValueError, match="nothing is loaded"):
        FormatSpec(json_schema={"allOf": [{"$ref": "http://localhost/schema.json"}]})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "and not both"),
        ({"regex": "a", "json_schema": {}}, "and not both"),
        ({"regex": "("}, "no regular expression"),
        ({"json_schema": {"type": "number?"}}, "no JSON Schema"),
    ],
)
def test_faults_of_a_format(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FormatSpec.model_validate(given)
