"""Rules on more than the text: leaks planted in the example data's rows, hits counted per row."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from benchmarks.leakage.corpora import example_rows
from ftcore.data.trained_rows import TrainedRows, find_leaks
from ftcore.store import Store

SHARE = 0.05
Rows = list[dict[str, str]]


def report(seed: int) -> None:
    """Recall on planted rows and share of the other rows that are hit, per rule."""
    print(f"\nRules on columns: {SHARE:.0%} of the rows planted")
    print(f"  {'rule':<20}{'planted':>9}{'found':>9}{'false':>9}")
    for rule in ("group", "time", "target_in_prompt", "reused"):
        rng = random.Random(seed)
        train, test = _rows(rng)
        rows, planted, hit = {"group": _group, "time": _time, "target_in_prompt": _target, "reused": _reuse}[rule](
            rng, train, test
        )
        false = len(hit - planted) / (len(rows) - len(planted))
        print(f"  {rule:<20}{len(planted):>9}{len(hit & planted) / len(planted):>9.1%}{false:>9.2%}")


def _rows(rng: random.Random) -> tuple[Rows, Rows]:
    labels = ("refund_status", "card_arrival", "refund", "cancel", "order_status")
    sides = []
    for name, texts, month in zip(("train", "test"), example_rows(), ("01", "02"), strict=True):
        sides.append(
            [
                {
                    "id": f"{name}-{number}",
                    "text": text,
                    "label": rng.choice(labels),
                    "group": f"{name}-customer-{number // 2}",
                    "timestamp": f"2026-{month}-{1 + number % 27:02}",
                }
                for number, text in enumerate(texts)
            ]
        )
    return sides[0], sides[1]


def _group(rng: random.Random, train: Rows, test: Rows) -> tuple[Rows, set[int], set[int]]:
    planted = set(rng.sample(range(len(test)), round(SHARE * len(test))))
    for number in planted:
        test[number]["group"] = rng.choice(train)["group"]
    hit = {leak.test_row for leak in find_leaks(train, test, ["group"])}
    return test, planted, {row for row in hit if row is not None}


def _time(rng: random.Random, train: Rows, test: Rows) -> tuple[Rows, set[int], set[int]]:
    planted = set(rng.sample(range(len(train)), round(SHARE * len(train))))
    for number in planted:
        train[number]["timestamp"] = f"2026-0{rng.choice((2, 3))}-{rng.randint(1, 27):02}"
    hit = {leak.train_row for leak in find_leaks(train, test, ["time"])}
    return train, planted, {row for row in hit if row is not None}


def _target(rng: random.Random, train: Rows, test: Rows) -> tuple[Rows, set[int], set[int]]:
    planted = set(rng.sample(range(len(test)), round(SHARE * len(test))))
    ways = (
        "{text} [{label}]",
        "intent: {label}\n{text}",
        "{text}\n{spoken}",
        "{text} __label__{label}",
        "({label}) {text}",
    )
    for number in planted:
        row = test[number]
        row["text"] = rng.choice(ways).format(**row, spoken=row["label"].replace("_", " "))
    hit = {leak.test_row for leak in find_leaks(train, test, ["target_in_prompt"])}
    return test, planted, {row for row in hit if row is not None}


def _reuse(rng: random.Random, train: Rows, test: Rows) -> tuple[Rows, set[int], set[int]]:
    planted = set(rng.sample(range(len(test)), round(SHARE * len(test))))
    with tempfile.TemporaryDirectory() as folder:
        index = TrainedRows(Store(Path(folder)), "planted")
        for part in range(10):  # ten earlier trainings, each with some rows of what is now the holdout
            rows = train[part::10] + [test[number] for number in planted if number % 10 == part]
            index.add(f"{part:064}", rows)
        return test, planted, set(index.seen(test))
