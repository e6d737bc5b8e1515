from __future__ import annotations

import json
from pathlib import Path

import pytest

from ftcore.errors import BaseModelError, UsageError
from ftcore.spec import FineTuneSpec
from ftcore.validation.profiles import profile_splits
from ftcore.validation.suites import Suite, load_suite, starter
from ftcore.validation.surroundings import Surroundings, current, surrounded_by, surroundings_of

PLAIN = Suite("plain", (), "d")


def make_spec(**sections: object) -> FineTuneSpec:
    return FineTuneSpec.model_validate({"name": "demo", "base_model": {"name": "pkg:no/where"}} | sections)


def test_the_base_model_is_looked_for_only_where_tokens_are_counted() -> None:
    around = surroundings_of(make_spec(training={"max_length": 33}, leakage={"max_leaked": 0.07}), PLAIN)
    assert (around.tokenizer, around.max_length, around.max_leaked) == (None, 33, 0.07)
    with pytest.raises(BaseModelError):
        surroundings_of(make_spec(), load_suite(starter("classification")))


def test_what_counts_as_personal_is_what_the_spec_says() -> None:
    around = surroundings_of(make_spec(prepare={"personal_kinds": ["phone"], "phone_regions": ["DE"]}), PLAIN)
    assert (around.personal_kinds, around.phone_regions) == (("phone",), ("DE",))


def test_the_accepted_profile_is_read(tmp_path: Path) -> None:
    path = tmp_path / "accepted.json"
    path.write_text(json.dumps(profile_splits({"train": [{"text": "a b", "label": "x", "source": "chat"}]})))
    accepted = surroundings_of(make_spec(validation={"accepted": str(path)}), PLAIN).accepted
    assert accepted is not None
    assert accepted["splits"]["train"]["sources"] == ["chat"]
    with pytest.raises(UsageError, match=r"validation\.accepted"):
        surroundings_of(make_spec(validation={"accepted": str(tmp_path / "no.json")}), PLAIN)


def test_surroundings_end_with_their_block() -> None:
    with surrounded_by(Surroundings(split="test")):
        assert current().split == "test"
    assert current().split == ""
