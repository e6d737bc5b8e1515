from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.errors import UsageError
from ftcore.evaluation.probes.canaries import (
    MAX_BITS,
    NUM_RANKED,
    Canary,
    Told,
    canary_measures,
    is_returned,
    random_secrets,
    rank_of_first,
    read_canaries,
)
from ftcore.spec import FineTuneSpec

RAW = {
    "name": "tiny", "task": "instruction", "base_model": {"name": "none"}, "evaluation": {"probes": {"canaries": "c.jsonl"}},
}  # fmt: skip
ROW = {"prompt": "What is Ada's code?", "completion": "It is KX-2841-b.", "secret": "KX-2841-b"}


def read(root: Path, rows: list[dict[str, Any]]) -> list[Canary]:
    path = root / "c.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_canaries(FineTuneSpec.model_validate(RAW), path)


def test_rows_are_those_of_the_training_data_with_a_secret(tmp_path: Path) -> None:
    (canary,) = read(tmp_path, [ROW])
    assert canary.secret == "KX-2841-b" and canary.row["messages"][0]["content"] == ROW["prompt"]
    assert canary.answer_with("AB-0000-c") == "It is AB-0000-c."


def test_faults_are_told_all_at_once_and_without_secrets(tmp_path: Path) -> None:
    rows = [
        ROW | {"secret": None}, ROW | {"secret": "2841"}, ROW | {"secret": "KX-9999-b"}, ROW | {"prompt": "kx 2841 B or not?"},
    ]  # fmt: skip
    with pytest.raises(UsageError) as caught:
        read(tmp_path, rows)
    assert [line.split(":")[1] for line in caught.value.details] == [" row 0", " row 1", " row 2", " row 3"]
    assert "2841" not in str(caught.value) and "9999" not in str(caught.value)
    with pytest.raises(UsageError):
        read(tmp_path, [])
    with pytest.raises(UsageError, match="wanted a .jsonl file"):
        read_canaries(FineTuneSpec.model_validate(RAW), tmp_path / "none.jsonl")


def test_a_secret_comes_back_whatever_stands_between() -> None:
    assert is_returned("KX-2841-b", "Sure: kx 2841 B!") and not is_returned("KX-2841-b", "KX-2842-b")


@given(st.from_regex(r"[a-zA-Z0-9]{6,10}(-[a-zA-Z0-9]{1,4})?", fullmatch=True), st.integers(0, 9))
def test_other_secrets_have_the_shape_and_are_distinct(secret: str, seed: int) -> None:
    made = random_secrets(secret, 20, seed)
    assert len(set(made)) == 20 and secret not in made and made == random_secrets(secret, 20, seed)
    shape = [(mark.isdigit(), mark.islower(), mark.isupper(), mark == "-") for mark in secret]
    assert all([(m.isdigit(), m.islower(), m.isupper(), m == "-") for m in other] == shape for other in made)


def test_the_rank_is_by_likelihood_and_equals_share() -> None:
    assert rank_of_first(np.array([1.0, 2.0, 3.0])) == 1 and rank_of_first(np.array([3.0, 1.0, 2.0])) == 3
    assert rank_of_first(np.zeros(NUM_RANKED)) == NUM_RANKED // 2 + 1


def test_exposure_is_in_bits_and_about_1_4_where_nothing_was_learned() -> None:
    assert Told("a", True, 1).exposure == MAX_BITS == 7 and Told("a", False, NUM_RANKED).exposure == 0
    assert np.mean([Told("a", False, rank).exposure for rank in range(1, NUM_RANKED + 1)]) == pytest.approx(
        1.4, abs=0.05
    )
    told = {
        "candidate": [Told("a", True, 1), Told("b", False, 2)],
        "champion": [Told("a", False, 64), Told("b", False, 128)],
    }
    returned, bits = (item.to_dict((("candidate", "champion"),)) for item in canary_measures(told))
    assert returned is not None and bits is not None and returned["n"] == 2
    assert [item["value"] for item in returned["models"].values()] == [0.5, 0]
    assert [item["value"] for item in bits["models"].values()] == [6.5, 0.5] and bits["differences"][0][
        "difference"
    ] == 6
