from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ftcore.data.splitting import SPLITS, split_key, split_of, split_rows
from ftcore.spec import DataSpec

rows = st.lists(
    st.fixed_dictionaries(
        {"id": st.uuids().map(str), "text": st.text(max_size=12), "label": st.just("a")},
        optional={"group": st.sampled_from(["c1", "c2", "c3", "c4", "c5"])},
    ),
    max_size=40,
)


def where(splits: dict) -> dict[str, str]:
    return {row["id"]: split for split, members in splits.items() for row in members}


@given(rows, rows)
def test_added_rows_move_nobody(first: list[dict], more: list[dict]) -> None:
    spec = DataSpec(validation_fraction=0.3, test_fraction=0.3)
    before = where(split_rows({"any": first}, spec))
    after = where(split_rows({"any": more + first}, spec))
    assert {row_id: after[row_id] for row_id in before} == before


@given(rows)
def test_a_group_is_never_torn_and_no_row_is_lost(members: list[dict]) -> None:
    splits = split_rows({"any": members}, DataSpec(validation_fraction=0.3, test_fraction=0.3))
    assert sum(len(part) for part in splits.values()) == len(members)
    homes: dict[str, set[str]] = {}
    for split in SPLITS:
        for row in splits[split]:
            homes.setdefault(row.get("group") or row["text"], set()).add(split)
    assert all(len(home) == 1 for home in homes.values())


def test_fractions_are_kept() -> None:
    counts = dict.fromkeys(SPLITS, 0)
    for number in range(20_000):
        counts[split_of(f"group:{number}", 0.15, 0.2)] += 1
    assert abs(counts["test"] / 20_000 - 0.2) < 0.01
    assert abs(counts["validation"] / 20_000 - 0.15) < 0.01


@given(st.text(), st.floats(0, 0.4), st.floats(0, 0.4))
def test_a_larger_test_fraction_only_adds_to_test(key: str, small: float, more: float) -> None:
    if split_of(key, 0.1, small) == "test":
        assert split_of(key, 0.1, min(small + more, 0.8)) == "test"


def test_validation_comes_out_of_train_and_test_files_stay_whole() -> None:
    train = [{"id": str(n), "text": f"text {n}", "label": "a"} for n in range(400)]
    test = [{"id": f"t{n}", "text": f"text {n}", "label": "a"} for n in range(50)]
    splits = split_rows({"train": train, "test": test}, DataSpec(files={"train": "a", "test": "b"}))
    assert splits["test"] == test
    assert 30 < len(splits["validation"]) < 100
    own = split_rows({"train": train, "validation": test[:5], "test": test}, DataSpec())
    assert own["train"] == train
    assert own["validation"] == test[:5]


def test_the_group_decides_whatever_the_text() -> None:
    assert split_key({"text": "a", "group": "c1"}) == split_key({"text": "b", "group": "c1"})
    assert split_key({"text": "a", "group": "c1"}) != split_key({"text": "a", "group": "c2"})


def test_equal_messages_without_group_share_a_split() -> None:
    assert split_key({"text": "Hello, there!"}) == split_key({"text": "hello there", "group": ""})
