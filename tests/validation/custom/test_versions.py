from __future__ import annotations

from typing import Any

from ftcore.validation.custom import versions
from ftcore.validation.expectations import to_frame
from ftcore.validation.profiles import profile_splits
from ftcore.validation.surroundings import Surroundings


def rows(count: int, text: str = "where is my card number", labels: str = "ab") -> list[dict[str, Any]]:
    return [{"id": f"r{n}", "text": f"{text} {n % 7}", "label": labels[n % len(labels)]} for n in range(count)]


def seen(now: list[dict[str, Any]], **limits: Any) -> Any:
    around = Surroundings(accepted=profile_splits({"train": rows(300)}), split="train")
    return versions.ExpectTableToResembleAccepted(**limits).look(to_frame(now), around)


def test_change_since_the_accepted_version_is_measured_on_four_sides() -> None:
    assert seen(rows(330)).success
    for now, what in (
        (rows(100), "size"), (rows(300, labels="aaab"), "label shift"),
        (rows(300, text="where is my card number and why does nobody answer me"), "length change"),
        (rows(300, text="wie lange noch bitte sehr"), "vocabulary shift"),
    ):  # fmt: skip
        observation = seen(now)
        assert not observation.success
        assert what in observation.observed.split("(all:")[0]
    assert seen(rows(100), min_size=0.3).success


def test_nothing_to_compare_with_is_no_change() -> None:
    frame = to_frame(rows(10))
    assert versions.ExpectTableToResembleAccepted().look(frame, Surroundings(split="train")).success


def test_leaks_found_before_are_judged_by_split() -> None:
    leaks = [
        {"rule": "exact", "test_id": "r1", "train_id": "r7", "score": 1.0},
        {"rule": "time", "test_id": "r2", "train_id": None, "score": 1.0},
    ]
    frame, expectation = to_frame(rows(50)), versions.ExpectTableToHaveNoLeaks(max_leaked=0.02)
    test = expectation.look(frame, Surroundings(leaks=leaks, split="test"))
    assert (test.rows, test.success) == ({1: "leak (exact)", 2: "leak (time)"}, False)
    train = expectation.look(frame, Surroundings(leaks=leaks, split="train"))
    assert (list(train.rows), train.success) == ([7], True)
    assert not expectation.look(frame, Surroundings(split="test")).success  # nobody has looked
    budget = versions.ExpectTableToHaveNoLeaks()
    assert budget.look(frame, Surroundings(leaks=leaks, split="test", max_leaked=0.04)).success
