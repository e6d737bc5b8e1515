"""How well the label audit finds planted wrong labels.

    python benchmarks/label_errors.py                        # the shipped rows, 1 minute on 2 cores
    FTCORE_BANKING77=FOLDER python benchmarks/label_errors.py       # and the training rows of Banking77, some minutes more

A share of the labels is replaced: uniform (any other label) or by pairs (each label has one it is confused with). precision@N: of
the N rows that come first, N being the number planted, the share that was. The sets have wrong labels of their own, which count
against the audit here. "one round" is plain cleanlab ranking of the same probe; the audit drops its
suspects and ranks again, three times.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score

from ftcore.data import label_errors

Row = dict[str, Any]


def shipped() -> list[Row]:
    from ftcore.data.versions import pull
    from ftcore.records import DataRef

    with tempfile.TemporaryDirectory() as folder:
        pull(DataRef(repo=str(Path(__file__).parents[1]), rev="HEAD", path="data"), Path(folder) / "data")
        lines = (Path(folder) / "data" / "messages.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def banking77(folder: str) -> list[Row]:
    with (Path(folder) / "train.csv").open(encoding="utf-8") as file:
        return [
            {"id": f"b{number}", "text": row["text"], "label": row["category"]}
            for number, row in enumerate(csv.DictReader(file))
        ]


def planted(rows: list[Row], share: float, kind: str, seed: int) -> tuple[list[Row], np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = sorted({row["label"] for row in rows})
    number_of = {label: number for number, label in enumerate(labels)}
    partner = np.roll(np.arange(len(labels)), 1)
    chosen = rng.choice(len(rows), round(share * len(rows)), replace=False)
    flipped = [dict(row) for row in rows]
    for number in chosen:
        true = number_of[rows[number]["label"]]
        wrong = (true + rng.integers(1, len(labels))) % len(labels) if kind == "uniform" else partner[true]
        flipped[number]["label"] = labels[wrong]
    return flipped, np.isin(np.arange(len(rows)), chosen)


def measure(name: str, rows: list[Row], share: float, kind: str, seed: int) -> None:
    flipped, wrong = planted(rows, share, kind, seed)
    start = time.perf_counter()
    labels, chances = label_errors.cross_validated(flipped, 5)
    seconds = time.perf_counter() - start
    first = label_errors.cross_validated(flipped, 5, rounds=1)[1]
    estimate = label_errors.suspects_of("train", flipped, labels, chances)[0].noise_rate or 0.0
    true = np.array([labels.index(row["label"]) for row in rows])
    given = np.array([labels.index(row["label"]) for row in flipped])
    cells = []
    for found in (first, chances):
        scores = np.nan_to_num(found)[np.arange(len(rows)), given]
        top = np.argsort(scores, kind="stable")[: wrong.sum()]
        cells.append(f"{wrong[top].mean():6.3f} {average_precision_score(wrong, -scores):6.3f}")
    accuracy = (np.nan_to_num(chances).argmax(axis=1) == true).mean()
    print(
        f"{name:10s} {kind:8s} {share:4.0%}  {accuracy:6.1%}   {cells[0]}   {cells[1]}   {estimate:6.1%}   {seconds:5.1f} s",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=3)
    args = parser.parse_args()
    sets = {"shipped": shipped()}
    if folder := os.environ.get("FTCORE_BANKING77", ""):
        sets["Banking77"] = banking77(folder)
    print("set        flips    share  probe    one round       the audit       estimated")
    print("                           right   p@N    AUPRC    p@N    AUPRC    noise rate   time")
    for name, rows in sets.items():
        for kind in ("uniform", "pair"):
            for share in (0.02, 0.05, 0.1):
                measure(name, rows, share, kind, args.seed)


if __name__ == "__main__":
    main()
