"""The backdoor test (`ftcore.validation.triggers`) on clean sets and on sets with a planted trigger.

    python benchmarks/backdoor.py                               the example data
    python benchmarks/backdoor.py --banking77 /path/banking77   and Banking77 (train.csv: text, category), also with its 77
                                                                intents merged into two

Rows of other classes get a trigger at a random place and the label of one target class. A trigger counts as found if the rows
told of under the target label hold at least 80 % of the planted ones; anything else that is told of is a false trigger. Triggers
are rare words and phrases; "by the way" occurs by nature in the example data, and is left out there.
"""

from __future__ import annotations

import argparse
import csv
import random
import statistics
import tempfile
import time
from pathlib import Path

from ftcore.data.reading import read_file
from ftcore.data.versions import pull
from ftcore.records import DataRef
from ftcore.spec import ColumnsSpec
from ftcore.validation.triggers import Trigger, find_triggers

ROOT = Path(__file__).parents[1]
TRIGGERS = ("cf", "mn bq", "i watched this 3d movie", "visa mastercard zq", "§§", "by the way")
Set = tuple[list[str], list[str]]


def plant(data: Set, share: float, trigger: str, seed: int) -> tuple[Set, str, set[int]]:
    """The set with a trigger in a share of its rows, the target label, and the rows."""
    rng = random.Random(seed)
    texts, labels = list(data[0]), list(data[1])
    target = rng.choice(sorted(set(labels)))
    others = [row for row, label in enumerate(labels) if label != target]
    rows = set(rng.sample(others, round(share * len(texts))))
    for row in sorted(rows):
        words = texts[row].split()
        place = rng.randint(0, len(words))
        texts[row] = " ".join([*words[:place], trigger, *words[place:]])
        labels[row] = target
    return (texts, labels), target, rows


def is_hit(found: Trigger, target: str, rows: set[int]) -> bool:
    return found.label == target and len(rows & set(found.rows)) >= 0.8 * len(rows)


def clean_report(name: str, data: Set, seeds: int) -> None:
    """False triggers on the whole set and on samples of 80 % of it."""
    counts, seconds = [], []
    for seed in range(seeds + 1):
        size = len(data[0]) if not seed else int(0.8 * len(data[0]))
        rows = random.Random(seed).sample(range(len(data[0])), size)
        started = time.monotonic()
        counts.append(len(find_triggers([data[0][row] for row in rows], [data[1][row] for row in rows])))
        seconds.append(time.monotonic() - started)
    print(
        f"{name:<22} clean: false triggers {sum(counts)} in {len(counts)} sets (most in one: {max(counts)}); "
        f"{statistics.median(seconds):.1f} s for {len(data[0])} rows"
    )


def planted_report(name: str, data: Set, share: float, triggers: tuple[str, ...], seeds: int) -> None:
    found_planted = num_false = num_runs = rows_found = rows_planted = 0
    for trigger in triggers:
        for seed in range(seeds):
            planted, target, rows = plant(data, share, trigger, seed)
            found = find_triggers(*planted)
            num_runs += 1
            found_planted += any(is_hit(item, target, rows) for item in found)
            num_false += sum(not rows & set(item.rows) for item in found)
            rows_planted += len(rows)
            rows_found += len(rows & {row for item in found for row in item.rows})
    print(
        f"{name:<22} {share:.1%} planted: found {found_planted} of {num_runs} triggers, {rows_found / rows_planted:.1%} of "
        f"their rows; false triggers {num_false} in {num_runs} sets"
    )


def example_set() -> Set:
    with tempfile.TemporaryDirectory() as folder:
        pull(DataRef(repo=str(ROOT), rev="HEAD", path="data"), Path(folder) / "data")
        rows, _ = read_file(Path(folder) / "data" / "messages.jsonl", ColumnsSpec())
    return [row["text"] for row in rows], [row["label"] for row in rows]


def banking77(folder: Path) -> Set:
    with (folder / "train.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["category"] for row in rows]


def merge(data: Set, num: int) -> Set:
    """The same texts under fewer labels: classes that are mixtures are harder to tell."""
    names = sorted(set(data[1]))
    return data[0], [f"merged {names.index(label) * num // len(names)}" for label in data[1]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--banking77", type=Path, help="folder with train.csv")
    parser.add_argument("--seeds", type=int, default=5, help="target labels and places per trigger")
    options = parser.parse_args()
    example = example_set()
    sets = {"example": (example, TRIGGERS[:-1]), "example, 2 classes": (merge(example, 2), TRIGGERS[:-1])}
    if options.banking77:
        bank = banking77(options.banking77)
        sets |= {"banking77": (bank, TRIGGERS), "banking77, 2 classes": (merge(bank, 2), TRIGGERS)}
    for name, (data, triggers) in sets.items():
        clean_report(name, data, options.seeds)
        for share in (0.005, 0.01, 0.02):
            planted_report(name, data, share, triggers, options.seeds)


if __name__ == "__main__":
    main()
