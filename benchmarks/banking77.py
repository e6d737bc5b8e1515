"""Banking77 (Casanueva et al. 2020) for benchmarks, from the folder in FTCORE_BANKING77: train.csv and test.csv with the columns
text and category."""

from __future__ import annotations

import csv
import os
import random
import sys
from pathlib import Path

Rows = list[dict[str, str]]


def read(split: str) -> Rows:
    """Rows with `id`, `text` and `label`, in an order that is always the same and not that of the file.

    Args:
        split: train or test.
    """
    folder = os.environ.get("FTCORE_BANKING77")
    if not folder:
        sys.exit("Set FTCORE_BANKING77 to the folder that holds Banking77's train.csv and test.csv.")
    with (Path(folder) / f"{split}.csv").open(encoding="utf-8", newline="") as file:
        rows = [
            {"id": f"{split}-{number}", "text": row["text"], "label": row["category"]}
            for number, row in enumerate(csv.DictReader(file))
        ]
    random.Random(0).shuffle(rows)
    return rows


def labels_of(rows: Rows) -> tuple[str, ...]:
    """Class names in their order."""
    return tuple(sorted({row["label"] for row in rows}))
