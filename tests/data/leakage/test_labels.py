from __future__ import annotations

import random

from ftcore.data.leakage import find_leaks
from ftcore.data.leakage.labels import conflicting_leaks, conflicting_rows, probe_metadata

LONG = "the parcel that i ordered for my mother two weeks ago has still not arrived at her house"


def row(text: str, label: str) -> dict:
    return {"text": text, "label": label}


def test_conflicts_across_splits() -> None:
    train, test = [row("Same text", "a"), row(LONG, "a")], [row("same text!", "b"), row(f"{LONG} yet", "a")]
    leaks = find_leaks(train, test, ["normalised", "near_duplicate"])
    assert [(leak.test_row, leak.train_row) for leak in conflicting_leaks(leaks, train, test)] == [(0, 0)]


def test_conflicts_within_a_split() -> None:
    rows = [row("Same", "a"), row("same", "b"), row(LONG, "a"), row(f"{LONG} yet", "b"), row("x", "a"), row("x", "a")]
    assert [(late, early) for late, early, _ in conflicting_rows(rows)] == [(1, 0), (3, 2)]


def test_a_column_that_carries_the_label_is_accused() -> None:
    rng = random.Random(0)
    rows = [
        {"id": f"{rng.choice('xy')}{number}", "text": "t", "label": rng.choice("ab"), "source": rng.choice("mn")}
        for number in range(400)
    ]
    assert not any(probe.suspicious for probe in probe_metadata(rows))
    for item in rows:
        item["source"] = item["label"] if rng.random() < 0.8 else "m"
        item["id"] = f"{item['label']}-{item['id']}"
    assert {probe.column for probe in probe_metadata(rows) if probe.suspicious} == {"source", "id"}


def test_row_positions_accuse_nobody_and_few_rows_say_nothing() -> None:
    rows = [{"id": f"train.csv:{number}", "text": "t", "label": "a" if number < 200 else "b"} for number in range(400)]
    assert probe_metadata(rows) == []
    assert probe_metadata(rows[190:210]) == []
