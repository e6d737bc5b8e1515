from __future__ import annotations

import pytest

from ftcore.records import canonical_json, digest_of, parse_json


def test_canonical_json_has_one_form_and_no_nan() -> None:
    assert canonical_json({"b": 1, "a": [1, "é"]}) == '{"a":[1,"é"],"b":1}'
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"loss": float("nan")})


def test_what_is_read_back_has_no_nan_either() -> None:
    assert parse_json('{"a":[1,"é"]}') == {"a": [1, "é"]}
    for text in ('{"loss": NaN}', "[-Infinity]", "{"):
        with pytest.raises(ValueError, match="wanted a number|Expecting"):
            parse_json(text)
