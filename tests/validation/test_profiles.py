from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftcore.errors import UsageError
from ftcore.validation.profiles import compare_profiles, profile_split, profile_splits, read_profile

ROWS = st.lists(
    st.fixed_dictionaries({"text": st.text("ab cd", max_size=20), "label": st.sampled_from("xyz")}), min_size=1
)


def sample(count: int, seed: int, words: int = 40) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [
        {
            "text": " ".join(f"w{int(rng.paretovariate(0.7)) % words}" for _ in range(12)),
            "label": f"l{rng.randrange(30)}",
        }
        for _ in range(count)
    ]


@settings(max_examples=50)
@given(ROWS)
def test_a_profile_does_not_differ_from_itself(rows: list[dict[str, Any]]) -> None:
    profile = profile_split(rows)
    change = compare_profiles(profile, json.loads(json.dumps(profile)))
    assert (change.size, change.label_shift, change.length, change.vocabulary) == (1.0, 0.0, 1.0, 0.0)


def test_two_samples_of_one_population_hardly_differ_and_order_does_not_matter() -> None:
    for size in (100, 400, 2000):
        change = compare_profiles(profile_split(sample(size, 1)), profile_split(sample(size, 2)))
        assert change.label_shift < 0.05
        assert change.vocabulary < 0.005
    rows = sample(50, 3)
    assert profile_split(rows) == profile_split(rows[::-1])


def test_a_profile_holds_no_text() -> None:
    rows = [{"text": "secretword", "label": "a", "source": "chat"}]
    assert "secretword" not in json.dumps(profile_splits({"train": rows}))


def test_profiles_are_read_back_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    with pytest.raises(UsageError, match="No profile"):
        read_profile(path)
    path.write_text(json.dumps(profile_splits({"train": sample(5, 1)})))
    assert read_profile(path)["splits"]["train"]["num_rows"] == 5
    for broken in ("{", "[]", '{"splits": {"train": 3}}', '{"splits": {"train": {}}}'):
        path.write_text(broken)
        with pytest.raises(UsageError, match="profile"):
            read_profile(path)
