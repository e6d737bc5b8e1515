from __future__ import annotations

from typing import Any

from ftcore.validation.custom import labels
from ftcore.validation.custom._base import Observation
from ftcore.validation.expectations import to_frame
from ftcore.validation.surroundings import Surroundings


def look(expectation: Any, *values: str | None, around: Surroundings = Surroundings()) -> Observation:
    rows = [{"id": f"r{n}", "text": "x", "label": value} for n, value in enumerate(values)]
    seen: Observation = expectation.look(to_frame(rows), around)
    return seen


def test_balance_by_share_and_by_ratio() -> None:
    assert look(labels.ExpectColumnLabelsToBeBalanced(column="label", max_share=0.75), *"aaab").success
    assert not look(labels.ExpectColumnLabelsToBeBalanced(column="label", max_share=0.74), *"aaab").success
    assert not look(labels.ExpectColumnLabelsToBeBalanced(column="label", max_ratio=2.9), *"aaab").success
    assert not look(labels.ExpectColumnLabelsToBeBalanced(column="label"), None, None).success


def test_rare_labels_are_named_with_their_rows() -> None:
    seen = look(labels.ExpectColumnLabelsToHaveRows(column="label", min_rows=2), "a", "rare", "a", None)
    assert seen.rows == {1: "rare label"}
    assert "1 of 2 labels in fewer than 2 rows: 'rare'" in str(seen.observed)


def test_labels_of_a_split_are_those_of_train() -> None:
    around = Surroundings(labels={"train": {"a": 3, "b": 2}}, split="test")
    strict = labels.ExpectColumnLabelsToMatchTrain(column="label")
    assert look(strict, *"ab", around=around).success
    assert not look(strict, *"aa", around=around).success
    assert look(labels.ExpectColumnLabelsToMatchTrain(column="label", max_missing=1), *"aa", around=around).success
    assert look(strict, "a", "b", "zeta", around=around).rows == {2: "label that train lacks"}
    assert not look(strict, *"ab").success  # nobody said what train has


def test_the_same_text_under_two_labels_and_nearly_the_same() -> None:
    long = "I sent money to my sister on Friday evening and it has still not arrived in her account today"
    texts = ["Card lost!", "card lost", "card lost", long, f"{long} yet", "other", None]
    rows = [
        {"id": f"r{n}", "text": text, "label": label}
        for n, (text, label) in enumerate(zip(texts, "abaabab", strict=True))
    ]
    expectation = labels.ExpectColumnTextToHaveOneLabel(column="text")
    seen = expectation.look(to_frame(rows), Surroundings())
    assert (seen.success, set(seen.rows), seen.num_looked_at) == (False, {0, 1, 3, 4}, 6)
    assert seen.observed == "2 pairs of (nearly) the same text under different labels"
    alike = [row | {"label": "a"} for row in rows]
    assert expectation.look(to_frame(alike), Surroundings()).success


def test_a_source_that_gives_the_label_away() -> None:
    rows = [
        {"id": f"x{n}", "text": "t", "label": "ab"[n % 2], "source": ["mail", "app"][n % 2] if n % 9 else "web"}
        for n in range(300)
    ]
    expectation = labels.ExpectColumnLabelsNotToFollowMetadata(column="label", columns=["source"])
    seen = expectation.look(to_frame(rows), Surroundings())
    assert not seen.success
    assert str(seen.observed).startswith("source 0.9")
    for n, row in enumerate(rows):
        row["source"] = ["mail", "app", "web"][n % 3]
    assert expectation.look(to_frame(rows), Surroundings()).success
