from __future__ import annotations

import random
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.data.splitting import SPLITS, assign_splits, split_key, split_of, split_rows
from ftcore.errors import DataRefused
from ftcore.spec import DataSpec, SplitBy

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


full_rows = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.uuids().map(str),
            "text": st.sampled_from(
                ["a", "b", "c d e f g h i j", "c d e f g h i k", "some other words than those of the rest"]
            ),
            "label": st.sampled_from(["x", "y"]),
            "timestamp": st.integers(1, 28).map(lambda day: f"2025-02-{day:02d}T10:00:00+00:00"),
        },
        optional={"group": st.sampled_from(["c1", "c2", "c3", "c4", "c5"])},
    ),
    min_size=1,
    max_size=30,
    unique_by=lambda row: row["id"],
)


@pytest.mark.parametrize("split_by", get_args(SplitBy))
@given(members=full_rows, shuffle=st.randoms(use_true_random=False))
def test_every_strategy_keeps_groups_whole_and_ignores_row_order(
    split_by: SplitBy, members: list[dict], shuffle: random.Random
) -> None:
    homes = dict(zip([row["id"] for row in members], assign_splits(members, split_by, 0.3, 0.3), strict=True))
    for name in ("c1", "c2", "c3", "c4", "c5"):
        assert len({homes[row["id"]] for row in members if row.get("group") == name}) <= 1
    other = shuffle.sample(members, len(members))
    assert dict(zip([row["id"] for row in other], assign_splits(other, split_by, 0.3, 0.3), strict=True)) == homes


@given(full_rows, full_rows)
def test_random_split_does_not_move_when_rows_are_added(first: list[dict], more: list[dict]) -> None:
    ids = {row["id"] for row in first}
    more = [row for row in more if row["id"] not in ids]
    assert assign_splits(first + more, "random", 0.3, 0.3)[: len(first)] == assign_splits(first, "random", 0.3, 0.3)


def numbered(count: int, **extra: object) -> list[dict]:
    return [{"id": str(n), "text": f"text {n}", "label": "ab"[n % 10 == 0], **extra} for n in range(count)]


def test_stratified_keeps_each_label_at_its_share() -> None:
    members = numbered(400)
    splits = split_rows({"any": members}, DataSpec(split_by="stratified", validation_fraction=0.1, test_fraction=0.2))
    for label, count in (("a", 360), ("b", 40)):
        found = [sum(row["label"] == label for row in splits[split]) for split in SPLITS]
        assert found == [count * 7 // 10, count // 10, count // 5]


def test_time_puts_the_newest_into_test_and_the_next_into_validation() -> None:
    members = [
        row | {"timestamp": f"2025-01-{1 + n // 24:02d}T{n % 24:02d}:00:00"} for n, row in enumerate(numbered(100))
    ]
    random.Random(0).shuffle(members)
    splits = split_rows({"any": members}, DataSpec(split_by="time", validation_fraction=0.1, test_fraction=0.2))
    spans = {
        split: (min(times), max(times)) for split in SPLITS for times in [[row["timestamp"] for row in splits[split]]]
    }
    assert spans["train"][1] < spans["validation"][0]
    assert spans["validation"][1] < spans["test"][0]
    assert [len(splits[split]) for split in SPLITS] == [70, 10, 20]


def test_rows_of_one_moment_are_not_parted_and_undated_rows_are_old() -> None:
    members = [row | {"timestamp": "2025-01-02"} for row in numbered(30)] + numbered(2)
    assert len(set(assign_splits(members, "time", 0.0, 0.4)[:30])) == 1
    dated = [{"id": "n", "text": "new", "label": "a", "timestamp": "2025-01-03"}, *numbered(4)]
    assert assign_splits(dated, "time", 0.0, 0.2) == ["test", "train", "train", "train", "train"]


def test_time_without_timestamps_is_refused() -> None:
    with pytest.raises(DataRefused, match="none of 3 rows has a timestamp"):
        assign_splits(numbered(3), "time", 0.1, 0.1)


def test_near_duplicates_share_a_split() -> None:
    chance = random.Random(3)
    base = [" ".join(chance.choices([f"w{n}" for n in range(500)], k=20)) for _ in range(150)]
    members = [
        {"id": f"{n}{end}", "text": text + end, "label": "a"} for n, text in enumerate(base) for end in ("", " thanks")
    ]
    homes = assign_splits(members, "near_duplicate", 0.3, 0.3)
    assert all(homes[number] == homes[number + 1] for number in range(0, len(homes), 2))
    assert len(set(homes)) == 3
    torn = assign_splits(members, "group", 0.3, 0.3)
    assert any(torn[number] != torn[number + 1] for number in range(0, len(torn), 2))
    linked = assign_splits(numbered(4), "near_duplicate", 0.3, 0.3, lambda texts: [(0, 1), (1, 2), (2, 3)])
    assert len(set(linked)) == 1
